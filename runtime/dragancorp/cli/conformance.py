"""`dragan conformance`: prove by URL that an implementation keeps the contracts."""

from pathlib import Path
from typing import Annotated

import typer

from dragancorp.cli.options import command_group
from dragancorp.cli.problems import UNFIT, Refusal, reported

USAGE = 2
app = command_group("Conformance: does an implementation keep the contracts?")


@app.callback()
def _conformance() -> None:
    # With a callback a single command keeps its name: `dragan conformance run`.
    pass


@app.command("run")
def run(
    url: Annotated[str, typer.Option("--url", metavar="URL", help="The implementation.")],
    token: Annotated[
        str,
        typer.Option("--token", metavar="TOKEN", envvar="UA_OPS_TOKEN", help="Has every scope but lanes:run."),
    ],
    limited_token: Annotated[
        str | None, typer.Option("--limited-token", metavar="TOKEN", help="Has the scope missions:read alone.")
    ] = None,
    level: Annotated[
        str, typer.Option("--level", metavar="L", help="core, ops or gateway; L1: the level it claims.")
    ] = "L1",
    only: Annotated[list[str] | None, typer.Option("--only", metavar="ID", help="A requirement; repeatable.")] = None,
    lane: Annotated[
        str | None, typer.Option("--lane", metavar="VP_ID", help="Dispatch here; found if left out.")
    ] = None,
    mission: Annotated[
        Path | None, typer.Option("--mission", metavar="FILE", help="An envelope that the lane takes.")
    ] = None,
    full_lane: Annotated[
        str | None, typer.Option("--full-lane", metavar="VP_ID", help="A lane whose queue is full.")
    ] = None,
    operation: Annotated[
        list[str] | None, typer.Option("--operation", metavar="ID", help="Generate requests for it alone; repeatable.")
    ] = None,
    gaps: Annotated[
        Path | None, typer.Option("--gaps", metavar="FILE", help="Declared gaps: an id and a reason a line.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Repeats what was drawn by chance.")] = None,
    examples: Annotated[int, typer.Option("--examples", min=1, help="Random cases an operation.")] = 120,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON.")] = None,
    junit_file: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write it as JUnit XML.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page.")] = None,
) -> None:
    """Ask an implementation for every requirement.

    Missions are made and cancelled; none is ever run. Exit 0 it conforms, 1 it does not, 2 wrong usage, 3 it cannot be
    reached.
    """
    from dragancorp_conformance import command
    from dragancorp_conformance.target import Pace

    asked = command.Asked(
        url=url,
        token=token,
        level=level,
        only=only or (),
        limited_token=limited_token,
        lane=lane,
        mission=mission,
        full_lane=full_lane,
        operations=operation or (),
        gaps=gaps,
        seed=seed,
        json=json_file,
        junit=junit_file,
        html=html_file,
        pace=Pace(examples=examples),
    )
    with reported(False):
        try:
            code, _ = command.perform(asked)
        except command.WrongUsage as error:
            raise Refusal(
                "The suite cannot run so", str(error), "See `dragan conformance run --help`.", exit_code=USAGE
            ) from error
        except command.Unreachable as error:
            raise Refusal(
                "The implementation cannot be reached", str(error), "Nothing was examined.", exit_code=UNFIT
            ) from error
    raise typer.Exit(code)
