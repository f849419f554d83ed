"""`dragan spec validate`: whether specs keep the written subset."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from dragancorp.cli import output
from dragancorp.cli.options import AsJson
from dragancorp.cli.problems import REFUSED, UNFIT, Refusal, reported

Profile = Literal["house", "any"]


def validate(
    specs: Annotated[Path, typer.Option(metavar="DIR", help="The folder of contracts, or of any JSON Schemas.")] = Path(
        "specs"
    ),
    profile: Annotated[
        Profile | None,
        typer.Option(help="house: the contracts' own rules; any: what every reader agrees about (default: by layout)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold specs to the written subset: each finding with its file, pointer, rule and the way to write it instead."""
    from dragancorp.codegen import SpecsInvalid, lint

    with reported(as_json):
        if not specs.is_dir():
            raise Refusal(
                "The contracts cannot be found",
                f"there is no folder {specs}",
                "Name the folder of contracts with --specs.",
                exit_code=UNFIT,
            )
        try:
            found = lint(specs, profile)
        except SpecsInvalid as error:
            raise Refusal(
                "The contracts cannot be read", str(error), "Mend the file that is named.", exit_code=REFUSED
            ) from error
        if as_json:
            output.document({"valid": not found, "findings": [one.as_json() for one in found]})
        else:
            for one in found:
                output.data(f"{output.plain(one.file)}#{output.plain(one.pointer)}")
                output.data(f"  {one.rule}: {output.plain(one.message)}")
                output.data(f"  {output.plain(one.instead)}")
            output.note(f"{len(found)} findings" if found else "every rule is kept")
        if found:
            raise typer.Exit(REFUSED)
