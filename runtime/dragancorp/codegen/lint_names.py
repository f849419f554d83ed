"""One name, one meaning: states, events, reasons and error codes are those of the tables wherever they are used."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dragancorp.codegen.findings import Finding, found
from dragancorp.codegen.judging import Judge
from dragancorp.codegen.lifecycle import dangling
from dragancorp.codegen.schema_tree import Path as SchemaPath
from dragancorp.codegen.sources import BASE, Sources, read_json

RULE = "SUB-16"
SHARE = 0.75
"""An enum that holds this share of a table's names means the table; so does one of which this share is in it."""

# What is looked into beside the schemas, where it exists.
_DOCUMENTS = (("ops-api", "openapi.json"), ("callbacks", "asyncapi.json"))


def findings(sources: Sources, judge: Judge) -> Iterator[Finding]:
    """Every name that no table knows, and every list of names that lacks one of its table."""
    tables = sources.data("lifecycle", "lifecycle.json")
    place = sources.root / "lifecycle" / "v1" / "lifecycle.json"
    if tables is None:
        if any(spec.name == "lifecycle" for spec in sources.specs):
            yield found(place, (), RULE, "lifecycle.json is missing", "write the tables beside their schema")
    else:
        for line in dangling(tables):
            yield found(place, (), RULE, line, "name what a table defines, each once")
    catalogue = sources.data("errors", "errors.json")
    codes = [entry["code"] for entry in catalogue["errors"]] if catalogue else []
    yield from _data(sources, judge)
    if tables is not None and codes:
        yield from _refusals(place, tables, codes)
    known = _tables(tables, codes)
    documents = [(spec.path, spec.schema) for spec in sources.specs]
    documents += [(path, read_json(path)) for path in _beside(sources)]
    events = {entry["name"] for entry in tables["events"]} if tables else set()
    for path, document in documents:
        for at, values in _choices(document, ()):
            yield from _agreeing(path, at, values, known, events)
    api = sources.data("ops-api", "openapi.json")
    if api is not None:
        yield from _operations(sources, api, catalogue)


def _beside(sources: Sources) -> list[Path]:
    paths = [sources.root / name / "v1" / file for name, file in _DOCUMENTS]
    return [path for path in paths if path.is_file()]


def _tables(tables: Any, codes: list[str]) -> dict[str, list[str]]:
    result = {"error codes": codes} if codes else {}
    if tables is not None:
        for machine in ("mission", "session"):
            result[f"states of a {machine}"] = [one["name"] for one in tables["states"][machine]]
            result[f"events of a {machine}"] = [one["name"] for one in tables["events"] if one["machine"] == machine]
        result["reasons"] = [one["code"] for one in tables["reasons"]]
    return result


def _agreeing(
    path: Path, at: SchemaPath, values: list[str], tables: dict[str, list[str]], events: set[str]
) -> Iterator[Finding]:
    for value in values:
        if value.startswith(("vp.mission.", "vp.session.")) and events and value not in events:
            yield found(path, at, RULE, f"there is no event {value!r}", "name an event of the lifecycle contract")
    for name, table in tables.items():
        shared = [value for value in values if value in table]
        if len(shared) < 2:
            continue
        unknown = [value for value in values if value not in table and not value.startswith("vp.")]
        if unknown and len(shared) >= SHARE * len(values):
            yield found(path, at, RULE, f"{unknown[0]!r} is none of the {name}", "name only what the table has")
        lacking = [value for value in table if value not in values]
        if lacking and len(shared) >= SHARE * len(table):
            told = f"the list lacks {', '.join(map(repr, lacking))} of the {name}"
            yield found(path, at, RULE, told, "list all names of the table")


def _choices(node: Any, path: SchemaPath) -> Iterator[tuple[SchemaPath, list[str]]]:
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _choices(item, (*path, str(index)))
    elif isinstance(node, dict):
        for keyword in ("enum", "const"):
            given = node.get(keyword)
            values = given if isinstance(given, list) else [given]
            texts = [value for value in values if isinstance(value, str)]
            if texts and (not path or path[-1] not in {"properties", "$defs"}):
                yield (*path, keyword), texts
        for key, item in node.items():
            yield from _choices(item, (*path, key))


def _refusals(place: Path, tables: dict[str, Any], codes: list[str]) -> Iterator[Finding]:
    used = [(("refusals", str(i), "code"), one["code"]) for i, one in enumerate(tables["refusals"])]
    used += [(("guards", str(i), "refusal"), one.get("refusal")) for i, one in enumerate(tables["guards"])]
    for at, code in used:
        if code is not None and code not in codes:
            yield found(place, at, RULE, f"there is no error code {code!r}", "name a code of the errors contract")


def _data(sources: Sources, judge: Judge) -> Iterator[Finding]:
    """The data files keep their contracts."""
    for name, file, fragment in (("lifecycle", "lifecycle.json", ""), ("errors", "errors.json", "#/$defs/catalogue")):
        data = sources.data(name, file)
        if data is None or not any(spec.name == name for spec in sources.specs):
            continue
        for error in judge.errors(f"{BASE}{name}/v1/schema.json{fragment}", data):
            at = tuple(str(part) for part in error.instance_path)
            place = sources.root / name / "v1" / file
            yield found(
                place, at, "SUB-13", f"its own contract refuses it: {error.message}"[:400], "mend what is named"
            )


def _operations(sources: Sources, api: dict[str, Any], catalogue: Any) -> Iterator[Finding]:
    place = sources.root / "ops-api" / "v1" / "openapi.json"
    statuses = {str(entry["status"]) for entry in catalogue["errors"]} if catalogue else set()
    tokens = next((spec.schema for spec in sources.specs if spec.name == "tokens"), None)
    scopes = set(_scopes(tokens))
    for route, item in api["paths"].items():
        for method, operation in item.items():
            if not isinstance(operation, dict):
                continue
            for status in operation.get("responses", {}):
                if statuses and status[0] in "45" and status not in statuses:
                    at = ("paths", route, method, "responses", status)
                    yield found(
                        place, at, RULE, f"no error code has the status {status}", "answer a status of the catalogue"
                    )
            for scope in operation.get("x-dragan-scopes", ()):
                if scopes and scope not in scopes:
                    told = f"no token may have the scope {scope!r}"
                    where = ("paths", route, method, "x-dragan-scopes")
                    yield found(place, where, RULE, told, "name a scope of the tokens contract")


def _scopes(node: Any) -> list[str]:
    """The enum that the member `scopes` of the tokens contract lists."""
    if isinstance(node, list):
        return [scope for item in node for scope in _scopes(item)]
    if not isinstance(node, dict):
        return []
    own = node.get("scopes")
    if isinstance(own, dict) and "enum" in json.dumps(own):
        return [value for _, values in _choices(own, ()) for value in values]
    return [scope for item in node.values() for scope in _scopes(item)]
