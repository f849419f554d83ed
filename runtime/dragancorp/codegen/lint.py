"""What a spec may look like: the subset written down in `specs/README.md`, where each rule SUB-n is explained.

Two profiles: `house` for the contracts of the house, `any` for a folder of anybody's schemas, which may be written as
freely as every reader of draft 2020-12 agrees about.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from dragancorp.codegen import lint_examples, lint_house, lint_names
from dragancorp.codegen.findings import Finding, SpecsInvalid, found
from dragancorp.codegen.judging import META, Judge, meta_errors
from dragancorp.codegen.openapi import FILE, NAME, Document
from dragancorp.codegen.patterns import trouble
from dragancorp.codegen.references import Place, References, root
from dragancorp.codegen.schema_tree import Path as SchemaPath
from dragancorp.codegen.schema_tree import pointer
from dragancorp.codegen.sources import BASE, Sources, Spec, read

__all__ = ["Finding", "Profile", "SpecsInvalid", "findings", "lint"]

Profile = Literal["house", "any"]

# Keywords of other drafts, and those that would change what all others mean.
_FOREIGN = {
    "dependencies": "`dependentRequired` or `dependentSchemas`",
    "additionalItems": "`items` beside `prefixItems`",
    "$recursiveRef": "`$ref`",
    "$recursiveAnchor": "`$anchor`",
    "id": "`$id`",
    "$vocabulary": "a schema of the standard draft",
}


def lint(root: Path, profile: Profile | None = None) -> list[Finding]:
    """Every rule that the specs below a folder break, file by file; no profile: the one the folder is laid out for.

    Raises `SpecsInvalid` for what is not strict JSON.
    """
    try:
        sources = read(root)
    except ValueError as error:
        raise SpecsInvalid([], str(error)) from error
    return findings(sources, profile or ("house" if sources.house else "any"))


def findings(sources: Sources, profile: Profile) -> list[Finding]:
    """The same for sources that were read. What is no schema at all is told alone: nothing else can be asked of it."""
    result = [one for spec in sources.specs for one in _meta(spec)]
    if result:
        return result
    references = References(sources)
    judge = Judge(sources)
    for place, address in references.clashes:
        told = f"{address} is the address of another schema too"
        result.append(found(place.spec.path, place.path, "SUB-4", told, "give each an address of its own"))
    for spec in sources.specs:
        result += _everywhere(spec, references, house=profile == "house")
        if profile == "house":
            result += lint_house.findings(spec, references)
    if not result:  # a schema that breaks no rule can be compiled, so documents can be held against it
        result += _compiled(sources, judge)
    if profile == "house" and sources.house:
        result += _api(sources)
        result += lint_names.findings(sources, judge)
        result += lint_examples.findings(sources, judge) if not result else []
    return result


def _meta(spec: Spec) -> Iterator[Finding]:
    if not isinstance(spec.schema, dict | bool):
        message = f"a schema is an object or a boolean, not {type(spec.schema).__name__}"
        yield found(spec.path, (), "SUB-9", message, "move files that are no schemas out of this folder")
        return
    if isinstance(spec.schema, dict) and not _of_the_draft(spec.schema):
        message = f"{spec.schema['$schema']!r} is not draft 2020-12"
        yield found(spec.path, ("$schema",), "SUB-9", message, f'write "$schema": "{META}"')
        return
    for error in meta_errors(spec.schema):
        path = tuple(str(part) for part in error.instance_path)
        yield found(
            spec.path, path, "SUB-9", f"the meta-schema refuses it: {error.message}"[:400], "mend what is named"
        )


def _of_the_draft(schema: dict[str, Any]) -> bool:
    return str(schema.get("$schema", META)).rstrip("#") == META


def _everywhere(spec: Spec, references: References, *, house: bool) -> Iterator[Finding]:
    """The rules of both profiles, for every schema of a file."""
    for place in root(spec).everything():
        schema = place.schema
        if not isinstance(schema, dict):
            continue
        if place.path and not _of_the_draft(schema):
            message = f"{schema['$schema']!r} inside a schema of draft 2020-12: some readers would follow it"
            yield found(spec.path, (*place.path, "$schema"), "SUB-9", message, "leave it out, or write the file's own")
        if "$ref" in schema:
            yield from _reference(place, references, house=house)
        for keyword, instead in _FOREIGN.items():
            if keyword in schema:
                message = f"`{keyword}` means nothing in draft 2020-12, so some readers would drop it"
                yield found(spec.path, (*place.path, keyword), "SUB-11", message, f"write {instead}")
        multiple = schema.get("multipleOf")
        if multiple is not None and not isinstance(multiple, int):
            message = "fractions, and integers written as such, are divided differently by different readers"
            yield found(spec.path, (*place.path, "multipleOf"), "SUB-8", message, "count in integer minor units")
        patterns: list[SchemaPath] = [("pattern",)] if isinstance(schema.get("pattern"), str) else []
        patterns += [("patternProperties", name) for name in schema.get("patternProperties", ())]
        for path in patterns:
            wrong = trouble(path[1] if len(path) == 2 else schema["pattern"], house=house)
            if wrong:
                told, _, instead = wrong.partition("; ")
                yield found(spec.path, (*place.path, *path), "SUB-10", told, instead or "write it so")


def _reference(place: Place, references: References, *, house: bool) -> Iterator[Finding]:
    reference = place.schema["$ref"]
    absolute = house and "://" in reference
    if not absolute and references.find(place.base, reference) is not None:
        if references.circular(place):
            told = f"{reference!r} leads back to itself for the same value, so no reader comes to an end"
            instead = "refer to itself only from a member or an item"
            yield found(place.spec.path, (*place.path, "$ref"), "SUB-5", told, instead)
        return
    if house:
        instead = "write `#/$defs/NAME` or `../../NAME/v1/schema.json#/$defs/NAME`"
    else:
        instead = f"refer to a schema of this folder, in `$defs` or whole: {', '.join(references.known())[:400]}"
    told = f"{reference!r} {'is absolute' if absolute else 'leads nowhere'}"
    yield found(place.spec.path, (*place.path, "$ref"), "SUB-5", told, instead)


def _compiled(sources: Sources, judge: Judge) -> Iterator[Finding]:
    for spec in sources.specs:
        try:
            judge.errors(spec.address, None)
        except BaseException as error:  # the reader's own panic is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            yield found(spec.path, (), "SUB-9", f"no reader can use it: {error}"[:400], "mend what is named")


def _api(sources: Sources) -> list[Finding]:
    source = sources.data(NAME, FILE)
    place = sources.root / NAME / "v1" / FILE
    checks: list[Callable[[], Any]] = []
    if source is not None:
        document = Document(sources, source)
        checks = [document.operations, document.bundled]
    for check in checks:
        try:
            check()
        except SpecsInvalid as error:
            where, _, told = str(error).partition(": ")
            _, _, at = where.partition("#")
            message = str(error).removeprefix(f"{BASE}{NAME}/v1/{FILE}: ")
            return [found(place, at if at.startswith("/") else pointer(()), "SUB-19", message, told or "mend it")]
    return []
