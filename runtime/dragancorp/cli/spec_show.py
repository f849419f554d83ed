"""`dragan spec list` and `dragan spec show`: which contracts there are, and what one of them fixes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from dragancorp.cli import output
from dragancorp.cli.options import AsJson
from dragancorp.cli.problems import REFUSED, Refusal, reported

DOCUMENTS = ("schema.json", "openapi.json", "asyncapi.json")
"""What the document of a contract may be called; the first that is there is it."""


def show_list(as_json: AsJson = False) -> None:
    """List every contract with its version, how it is read, and what it is."""
    found = [_outline(folder) for folder in _folders()]
    if as_json:
        output.document({"contracts": found})
        return
    rows = [(one["name"], one["version"], one["reader"] or "-", one["title"], one["description"]) for one in found]
    output.table(("name", "version", "read", "title", "description"), rows)


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A contract, as `dragan spec list` names it.")],
    version: Annotated[str, typer.Option("--version", metavar="VERSION", help="Which version.")] = "v1",
    as_json: AsJson = False,
) -> None:
    """Show what a contract fixes: its address, how it is read, its rules beyond the schema, its data, its examples."""
    with reported(as_json):
        folder = next((one for one in _folders() if one.parts[-2:] == (name, version)), None)
        if folder is None:
            known = ", ".join(sorted({one.parent.name for one in _folders()}))
            raise Refusal(
                "There is no such contract",
                f"no {name} {version}; there are: {known}",
                "List them with `dragan spec list`.",
                exit_code=REFUSED,
            )
    shown = {**_outline(folder), "rules": list(_rules(name)), "examples": _examples(folder), "data": _data(folder)}
    if as_json:
        if name == "lifecycle":
            shown["tables"] = _lifecycle(version)
        output.document(shown)
        return
    output.facts(
        [
            ("contract", f"{name} {version}"),
            ("title", shown["title"]),
            ("description", shown["description"]),
            ("$id", shown["$id"]),
            ("read", shown["reader"]),
            ("required", ", ".join(shown["required"]) or None),
            ("data", ", ".join(shown["data"]) or None),
            ("examples", ", ".join(f"{len(names)} {kind}" for kind, names in shown["examples"].items())),
        ]
    )
    if shown["rules"]:
        output.data("")
        output.table(("rule", "what must hold"), [(rule["id"], rule["sentence"]) for rule in shown["rules"]])
    if name == "lifecycle":
        _show_lifecycle(_lifecycle(version))


def _folders() -> Iterator[Path]:
    """The folder of every version of every contract, by name."""
    from dragancorp_contracts import resources

    for path in sorted(resources.specs_root().glob("*/v*")):
        if any((path / file).is_file() for file in DOCUMENTS):
            yield path


def _outline(folder: Path) -> dict[str, Any]:
    from dragancorp_contracts import resources

    name, version = folder.parts[-2:]
    file = next(one for one in DOCUMENTS if (folder / one).is_file())
    document = resources.read_document(name, version, file)
    about = document.get("info", document)
    return {
        "name": name,
        "version": version,
        "title": about["title"],
        "description": about.get("description", ""),
        "$id": document.get("$id", f"https://dragancorp.dev/specs/{name}/{version}/{file}"),
        "reader": document.get("x-dragan-reader"),
        "required": document.get("required", []),
    }


def _rules(name: str) -> Iterator[dict[str, Any]]:
    """The rules that no schema can say: of the root, of the shapes inside, and those that look at other documents."""
    from dragancorp.rules import ACROSS, RULES

    for place, rules in RULES.items():
        contract, _, shape = place.partition("#/$defs/")
        if contract == name:
            yield from ({"id": one.id, "sentence": one.sentence, "of": shape or "document"} for one in rules)
    for identifier, sentence in ACROSS.get(name, {}).items():
        yield {"id": identifier, "sentence": sentence, "of": "several documents"}


def _examples(folder: Path) -> dict[str, list[str]]:
    root = folder / "examples"
    kinds = sorted((one for one in root.glob("*/")), reverse=True) if root.is_dir() else []
    return {
        kind.name: sorted(path.relative_to(kind).with_suffix("").as_posix() for path in kind.rglob("*.json"))
        for kind in kinds
    }


def _data(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.json") if path.name != "schema.json")


def _lifecycle(version: str) -> dict[str, Any]:
    from dragancorp_contracts import resources

    return resources.read_document("lifecycle", version, "lifecycle.json")


def _show_lifecycle(tables: dict[str, Any]) -> None:
    for machine in ("mission", "session"):
        output.data("")
        states = [
            (one["name"], "yes" if one["terminal"] else "", one["description"]) for one in tables["states"][machine]
        ]
        output.table((f"{machine} state", "terminal", "meaning"), states)
        output.data("")
        output.table(
            (f"{machine} step", "from", "triggers", "event", "who", "when and guards", "to"),
            [
                (
                    step["id"],
                    ", ".join(step["from"]) or "-",
                    ", ".join(step["triggers"]),
                    step["event"] or "-",
                    ", ".join(step["who"]),
                    ", ".join([*step["when"], *step["guards"]]) or "-",
                    step["to"] or "stays",
                )
                for step in tables["transitions"]
                if step["machine"] == machine
            ],
        )
    output.data("")
    output.table(
        ("reason", "fallback", "meaning"),
        [(one["code"], "yes" if one["fallback"] else "", one["description"]) for one in tables["reasons"]],
    )
