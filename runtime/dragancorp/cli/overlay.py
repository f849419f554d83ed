"""`dragan overlay`: whether an overlay fits its base profile and the global caps, and what it comes to."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragancorp.cli import output
from dragancorp.cli.options import AsJson, command_group
from dragancorp.cli.problems import REFUSED

if TYPE_CHECKING:
    from dragancorp.document_file import DocumentFile
    from dragancorp.overlays import Finding

app = command_group("Overlays: what a clone switches on and off over a base profile, inside the global caps.")

OverlayFile = Annotated[
    Path, typer.Argument(metavar="OVERLAY", exists=True, dir_okay=False, readable=True, help="YAML or JSON.")
]
BaseFile = Annotated[
    Path, typer.Option("--base", metavar="FILE", exists=True, dir_okay=False, readable=True, help="The base profile.")
]
CapsFile = Annotated[
    Path, typer.Option("--caps", metavar="FILE", exists=True, dir_okay=False, readable=True, help="The global caps.")
]

SHOWN_TEXT = 80  # characters of a value in the table; all of it stands in --json


@app.command("validate")
def validate(overlay: OverlayFile, base: BaseFile, caps: CapsFile, as_json: AsJson = False) -> None:
    """Say everything that is wrong with an overlay at once, each with its place, rule and fix."""
    _, found = _examined(overlay, base, caps)
    if as_json:
        output.document({"valid": not found, "findings": [one.as_json() for one in found]})
    else:
        _show(found, {"overlay": overlay, "base": base, "caps": caps})
        output.note(_counted(found) if found else f"{overlay} fits {base} and {caps}")
    if found:
        raise typer.Exit(REFUSED)


@app.command("explain")
def explain(overlay: OverlayFile, base: BaseFile, caps: CapsFile, as_json: AsJson = False) -> None:
    """Show every value that holds, and where it comes from."""
    from dragancorp.overlays import resolve

    documents, found = _examined(overlay, base, caps)
    if found:
        if as_json:
            output.document({"valid": False, "findings": [one.as_json() for one in found]})
        else:
            _show(found, {"overlay": overlay, "base": base, "caps": caps})
            output.note(_counted(found))
        raise typer.Exit(REFUSED)
    resolution = resolve(*documents)
    if as_json:
        output.document(resolution.as_json())
        return
    output.table(
        ("name", "value", "source", "by"),
        [
            (pointer[1:].replace("/", "."), _shown(one.value), one.source.value, one.by)
            for pointer, one in resolution.explained()
        ],
    )
    output.note(f"digest {resolution.digest()}")


def _examined(overlay: Path, base: Path, caps: Path) -> tuple[tuple[Any, Any, Any], "list[Finding]"]:
    """The documents of base, overlay and caps, and everything that is wrong with them, with lines."""
    from dragancorp.document_file import DocumentUnreadable, read
    from dragancorp.overlays import Finding, findings
    from dragancorp.overlays.finding import Place

    files: dict[Place, DocumentFile] = {}
    unreadable: list[Finding] = []
    for place, path in ((Place.BASE, base), (Place.OVERLAY, overlay), (Place.CAPS, caps)):
        try:
            files[place] = read(path)
        except DocumentUnreadable as error:
            unreadable += [
                Finding(
                    rule=one.rule,
                    document=place,
                    pointer=one.pointer,
                    message=one.message,
                    fix="write it so that it can be read",
                    line=one.line,
                )
                for one in error.violations
            ]
    if unreadable:
        return (None, None, None), unreadable
    documents = (files[Place.BASE].document, files[Place.OVERLAY].document, files[Place.CAPS].document)
    found = findings(*documents)
    return documents, [replace(one, line=files[one.document].line_of(one.pointer)) for one in found]


def _show(found: "Iterable[Finding]", paths: dict[str, Path]) -> None:
    for one in found:
        line = f":{one.line}" if one.line is not None else ""
        place = one.pointer or "the whole document"
        output.data(output.plain(f"{paths[one.document.value]}{line}: {place}: {one.message} [{one.rule}]"))
        output.data(output.plain(f"  fix: {one.fix}"))


def _counted(found: "list[Finding]") -> str:
    return f"{len(found)} finding{'' if len(found) == 1 else 's'}"


def _shown(value: Any) -> str:
    text = {True: "on", False: "off"}.get(value) if isinstance(value, bool) else None
    text = text or (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 1] + "…"
