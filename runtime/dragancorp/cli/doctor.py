"""`dragan doctor`: is this environment fit, and what to do where it is not."""

import typer

from dragancorp.cli import output
from dragancorp.cli.options import DEFAULT_DATA, DEFAULT_LANES, AsJson, DataFolder, LanesFile
from dragancorp.cli.problems import UNFIT


def doctor(data: DataFolder = DEFAULT_DATA, lanes: LanesFile = DEFAULT_LANES, as_json: AsJson = False) -> None:
    """Check the environment: a line each, with what to do. Exit code 3 when something would not work."""
    from dataclasses import asdict

    from dragancorp.cli.check import Status
    from dragancorp.cli.checks import examine

    checks = examine(data, lanes)
    fit = all(check.status is not Status.FAIL for check in checks)
    if as_json:
        output.document({"fit": fit, "checks": [asdict(check) for check in checks]})
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            output.data(f"{check.status.value:<4}  {check.name:<{width}}  {output.plain(check.detail)}")
            if check.advice:
                output.data(f"{'':<4}  {'':<{width}}  -> {output.plain(check.advice)}")
    if not fit:
        output.note("this environment is not fit; the lines that say fail tell what to do")
        raise typer.Exit(UNFIT)
