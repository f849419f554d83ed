"""`dragan spec diff`: what a change of the contracts breaks, before it is released."""

from pathlib import Path
from typing import Annotated

import typer

from dragancorp.cli import output
from dragancorp.cli.options import AsJson
from dragancorp.cli.problems import REFUSED, UNFIT, Refusal, reported


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A folder of contracts, or a git revision such as v0.1.0.")],
    new: Annotated[str, typer.Argument(metavar="[NEW]", help="The same, for what is compared with it.")] = "specs",
    folder: Annotated[
        str, typer.Option("--folder", metavar="DIR", help="Where a revision holds its contracts, from here.")
    ] = "specs",
    allow: Annotated[
        Path | None, typer.Option("--allow", metavar="FILE", help="Breaking changes that are allowed, with reasons.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Classify what changed in the contracts: breaking for producers, consumers or code, or safe.

    The answer is no when a breaking change stands inside a version that both sides have.
    """
    from dragancorp import specdiff

    with reported(as_json):
        try:
            report = specdiff.diff(old, new, folder=folder, allow=allow)
        except specdiff.SnapshotUnreadable as error:
            raise Refusal(
                "The contracts cannot be compared",
                str(error),
                "Name two folders of contracts, or revisions of this repository (fetch its tags first).",
                exit_code=UNFIT,
            ) from error
        except specdiff.WaiversInvalid as error:
            raise Refusal(
                "The waivers cannot be read", str(error), "Mend the place that is named.", exit_code=UNFIT
            ) from error
    if as_json:
        output.document(report.as_json())
    else:
        for line in report.lines():
            output.data(output.plain(line))
    for unused in report.unused:
        output.note(output.plain(f"a waiver that nothing needs: {unused}"))
    if report.refused:
        output.note(f"{len(report.refused)} breaking changes inside a version; what to do:")
        for line in report.advice():
            output.note(output.plain(f"  {line}"))
        raise typer.Exit(REFUSED)
    output.note(f"{len(report.changes)} changes, none that is refused")
