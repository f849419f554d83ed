"""Every contract shows documents that keep it and documents that break it, and they do what they say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dragancorp.codegen.findings import Finding, found
from dragancorp.codegen.judging import Judge
from dragancorp.codegen.schema_tree import pointer, resolve
from dragancorp.codegen.sources import BASE, Sources, Spec, read_json

RULE = "SUB-13"
LEAST_VALID = 3


def findings(sources: Sources, judge: Judge) -> Iterator[Finding]:
    """Every contract with too few examples, and every example that is not what it says."""
    for spec in sources.specs:
        folder = spec.path.parent / "examples"
        if not folder.is_dir() and spec.name not in {"ops-api"}:
            yield found(folder, "", RULE, "there are no examples", "write examples/valid and examples/invalid")
            continue
        for kind, least in (("valid", LEAST_VALID), ("invalid", 1)):
            paths = sorted((folder / kind).rglob("*.json"))
            own = [path for path in paths if path.parent.name == kind]
            if len(own) < least:
                told = f"{len(own)} examples, too few to show what is meant"
                yield found(folder / kind, "", RULE, told, f"write at least {least}")
            for path in paths:
                inner = "" if path.parent.name == kind else f"#/$defs/{path.parent.name}"
                check = _valid if kind == "valid" else _invalid
                yield from check(spec, path, f"{BASE}{spec.contract}/schema.json{inner}", judge)


def _valid(spec: Spec, path: Path, address: str, judge: Judge) -> Iterator[Finding]:
    for error in judge.errors(address, read_json(path)):
        at = tuple(str(part) for part in error.instance_path)
        yield found(path, at, RULE, f"not valid: {error.message}"[:400], "mend the example, or the schema")


def _invalid(spec: Spec, path: Path, address: str, judge: Judge) -> Iterator[Finding]:
    example = read_json(path)
    if not isinstance(example, dict) or not {"breaks", "pointer", "document"} <= example.keys():
        yield found(path, "", RULE, "it does not say what it breaks", "write `breaks`, `pointer` and `document`")
        return
    said = (example["breaks"], example["pointer"])
    told = [
        (_rule(error.absolute_keyword_location), pointer(tuple(str(part) for part in error.instance_path)))
        for error in judge.errors(address, _expanded(example))
    ]
    beyond = "#/" not in example["breaks"]  # a rule with a short id, that no schema can say
    if told != ([] if beyond else [said]):
        message = f"it says {said[0]} at {said[1]!r}, the schema says {told[:3] or 'nothing'}"
        yield found(path, "", RULE, message, "break just the one rule that is named")


def _rule(location: str | None) -> str:
    return re.sub(r"/(schema|openapi)\.json#", "#", (location or "").removeprefix(BASE))


def _expanded(example: dict[str, Any]) -> Any:
    """The document with its `repeat` carried out: a unit written many times at a place."""
    document = example["document"]
    if "repeat" not in example:
        return document
    at, unit, times = (example["repeat"][key] for key in ("pointer", "unit", "times"))
    parent, _, last = at.rpartition("/")
    place = resolve(document, parent)
    key: Any = int(last) if isinstance(place, list) else last.replace("~1", "/").replace("~0", "~")
    place[key] = unit * times if isinstance(place[key], str) else [_numbered(unit, n) for n in range(times)]
    return document


def _numbered(unit: Any, number: int) -> Any:
    if isinstance(unit, str):
        return unit.replace("{n}", str(number))
    if isinstance(unit, list):
        return [_numbered(item, number) for item in unit]
    if isinstance(unit, dict):
        return {key: _numbered(value, number) for key, value in unit.items()}
    return unit
