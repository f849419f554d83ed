"""`dragan worker`: a lane's worker in a process of its own."""

from pathlib import Path
from typing import Annotated

import typer

from dragancorp.cli.options import DEFAULT_DATA, DEFAULT_LANES, AsJson, DataFolder, LanesFile, ServerUrl
from dragancorp.cli.problems import reported

LaneId = Annotated[str, typer.Option("--lane", metavar="ID", help="The lane to work for.")]
WorkerToken = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="What to show it (lanes:run); else UA_INTERNAL_API_TOKEN, or found by --data.",
    ),
]
Database = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", help="Work on this registry directly instead of over HTTP."),
]
Grace = Annotated[
    float, typer.Option(min=0, max=3600, help="Seconds that running missions get when it is told to stop.")
]


def worker(
    lane: LaneId,
    url: ServerUrl = None,
    token: WorkerToken = None,
    db: Database = None,
    lanes: LanesFile = DEFAULT_LANES,
    data: DataFolder = DEFAULT_DATA,
    grace: Grace = 5.0,
    as_json: AsJson = False,
) -> None:
    """Work for one lane: hold its lease, run its missions, report.

    The lanes file says how (executor, workspace); times and limits come from the control plane. SIGTERM or Ctrl-C
    drains: what runs gets its grace and is handed back. A second one ends it at once.
    """
    if db is not None and (url is not None or token is not None):
        raise typer.BadParameter("the registry is reached by --db or by --url, not by both", param_hint="--db")
    import asyncio

    from dragancorp.cli import logs
    from dragancorp.cli.connection import Server
    from dragancorp.cli.working import Working, work

    logs.configure()
    asked = Working(
        vp_id=lane,
        server=Server(url=url, token=token, data=data),
        db=db,
        lanes=Path(lanes),
        data=data,
        grace_seconds=grace,
        as_json=as_json,
    )
    with reported(as_json):
        asyncio.run(work(asked))
