"""All commands in one tree."""

import sys
from typing import Annotated

import typer

from dragancorp.cli import (
    conformance,
    database,
    dev,
    doctor,
    lane,
    ledger,
    mission,
    overlay,
    rollout,
    spec,
    token,
    worker,
)
from dragancorp.cli.options import command_group

app = command_group(
    """Hand missions to persistent specialist lanes, watch them, cancel them.

    Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 the environment is not fit, 4 a gate holds.
    """
)
app.command("dev")(dev.dev)
app.command("serve")(dev.serve)
app.command("worker")(worker.worker)
app.add_typer(mission.app, name="mission")
app.add_typer(lane.app, name="lane")
app.add_typer(rollout.app, name="rollout")
app.add_typer(ledger.app, name="ledger")
app.add_typer(token.app, name="token")
app.add_typer(spec.app, name="spec")
app.add_typer(overlay.app, name="overlay")
app.add_typer(conformance.app, name="conformance")
app.add_typer(database.app, name="database")
app.command("doctor")(doctor.doctor)


def _show_version(asked: bool) -> None:
    if asked:
        from dragancorp import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command that the arguments name; ends the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter gets its escape, not a traceback.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app(prog_name="dragan")
