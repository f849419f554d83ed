"""`dragan dev` and `dragan serve`: a control plane in this process."""

from collections.abc import Sequence
from typing import Annotated

import typer

from dragancorp.cli.options import DEFAULT_DATA, DEFAULT_LANES, DEFAULT_PORT, AsJson, DataFolder, LanesFile
from dragancorp.cli.problems import reported

LOOPBACK = "127.0.0.1"

Host = Annotated[str, typer.Option(help="The address to listen on; others than loopback need configured tokens.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")]
Grace = Annotated[
    float,
    typer.Option(min=0, max=3600, help="Seconds that running missions get when it is told to stop."),
]


def dev(
    port: Port = DEFAULT_PORT,
    host: Host = LOOPBACK,
    data: DataFolder = DEFAULT_DATA,
    lanes: LanesFile = DEFAULT_LANES,
    grace: Grace = 5.0,
    primary: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="The gateway's own agent: a turn on its input, its lines the answer."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run everything in one process: registry, reconciler, lanes, API, and with --primary a gateway.

    SIGTERM or Ctrl-C drains and ends it; a second one ends it at once.
    """
    _run(
        port=port,
        host=host,
        data=data,
        lanes=lanes,
        grace=grace,
        as_json=as_json,
        serve_lanes=True,
        primary=_words(primary),
    )


def serve(
    port: Port = DEFAULT_PORT,
    host: Host = LOOPBACK,
    data: DataFolder = DEFAULT_DATA,
    lanes: LanesFile = DEFAULT_LANES,
    grace: Grace = 5.0,
    as_json: AsJson = False,
) -> None:
    """Serve registry, reconciler and API; the lanes' work is left to workers.

    SIGTERM or Ctrl-C drains and ends it; a second one ends it at once.
    """
    _run(port=port, host=host, data=data, lanes=lanes, grace=grace, as_json=as_json, serve_lanes=False)


def _words(command: str | None) -> list[str]:
    """The words of a command as a shell would split them; nothing else of a shell."""
    import shlex

    try:
        words = shlex.split(command or "")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--primary") from error
    if command is not None and not words:
        raise typer.BadParameter("a command has at least one word", param_hint="--primary")
    return words


def _run(
    *,
    port: int,
    host: str,
    data: DataFolder,
    lanes: LanesFile,
    grace: float,
    as_json: bool,
    serve_lanes: bool,
    primary: Sequence[str] = (),
) -> None:
    import asyncio

    from dragancorp.cli import logs
    from dragancorp.cli.serving import Serving
    from dragancorp.cli.serving import serve as serve_until_told

    logs.configure()
    asked = Serving(
        host=host,
        port=port,
        data=data,
        lanes=lanes,
        serve_lanes=serve_lanes,
        grace_seconds=grace,
        as_json=as_json,
        primary=primary,
    )
    with reported(as_json):
        asyncio.run(serve_until_told(asked))
