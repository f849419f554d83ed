"""`dragan spec`: the contracts and the code generated from them."""

from pathlib import Path
from typing import Annotated

import typer

from dragancorp.cli import output
from dragancorp.cli.options import AsJson, command_group
from dragancorp.cli.problems import REFUSED, UNFIT, Refusal, reported
from dragancorp.cli.spec_diff import diff
from dragancorp.cli.spec_show import show, show_list
from dragancorp.cli.spec_validate import validate

CONTRACTS = Path("specs")
PACKAGE = Path("generated/dragancorp_contracts")

app = command_group("Contracts: list, check and compare them, and generate from them.")


@app.callback()
def _spec() -> None:
    # With a callback a single command keeps its name: `dragan spec codegen`.
    pass


@app.command("codegen")
def codegen(
    specs: Annotated[Path, typer.Option(metavar="DIR", help="The folder of contracts.")] = CONTRACTS,
    out: Annotated[
        Path | None, typer.Option(metavar="PKG", help="The package to write (default: generated/dragancorp_contracts).")
    ] = None,
    docs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of reference pages to write; left out: none.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; the answer is no when it differs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Generate models, life cycles, API and client from the contracts; of any folder of JSON Schemas the models."""
    from dragancorp import codegen as generator

    with reported(as_json):
        if out is None and specs != CONTRACTS:
            raise typer.BadParameter("name the package to write for these schemas", param_hint="--out")
        out = out or PACKAGE
        if not specs.is_dir():
            raise Refusal(
                "The contracts cannot be found",
                f"there is no folder {specs}",
                "Name the folder of contracts with --specs.",
                exit_code=UNFIT,
            )
        try:
            if check:
                differences = generator.check(specs, out, docs)
            else:
                written = generator.generate(specs, out, docs)
        except generator.SpecsInvalid as error:
            raise Refusal(
                "The contracts cannot be generated from", str(error), "Mend each place that is named.", exit_code=UNFIT
            ) from error
        except (generator.ToolsMissing, OSError) as error:
            raise Refusal(
                "Code cannot be generated here", str(error), "Nothing was written; mend what is named.", exit_code=UNFIT
            ) from error
        if not check:
            if as_json:
                output.document({"files": [str(path) for path in written]})
            else:
                places = f"{out} and {docs}" if docs else f"{out}"
                output.note(f"{len(written)} files in {places}")
            return
        if as_json:
            output.document({"differences": differences})
        else:
            for difference in differences:
                output.data(difference)
        if differences:
            output.note(f"{len(differences)} files differ; generate them anew without --check")
            raise typer.Exit(REFUSED)


app.command("list")(show_list)
app.command("show")(show)
app.command("diff")(diff)
app.command("validate")(validate)
