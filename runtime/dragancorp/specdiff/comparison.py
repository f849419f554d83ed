"""Two snapshots of the contracts side by side: every change, classified."""

import re
from collections.abc import Iterator
from typing import Any

from dragancorp.specdiff import documents, errors_data, lifecycle_data, operations
from dragancorp.specdiff.change import Change, changed, merged
from dragancorp.specdiff.rules import Reader
from dragancorp.specdiff.schema import Place, Schema
from dragancorp.specdiff.shapes import Walk
from dragancorp.specdiff.snapshot import Snapshot, contract_of

__all__ = ["compare"]

_SAID = re.compile(r"^\|\s*`?([A-Z]{2,5}-[0-9]+)`?\s*\|(.*)$", re.MULTILINE)


def compare(old: Snapshot, new: Snapshot) -> list[Change]:
    """Every change from the old contracts to the new ones, by contract, breaking ones first."""
    return merged(_changes(old, new))


def _changes(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    earlier, now = old.contracts(), new.contracts()
    for contract in sorted(earlier - now):
        yield changed("contract_removed", f"{contract}#", contract)
    for contract in sorted(now - earlier):
        yield changed("contract_added", f"{contract}#", contract)
    walk = Walk()
    for file in sorted(_touched(old, new)):
        contract = contract_of(file)
        if contract in earlier and contract in now:
            yield from _file(old, new, file, walk)
    for contract in sorted(earlier & now):
        reader = _reader(new, contract)
        yield from _said(old.readmes.get(contract, ""), new.readmes.get(contract, ""), contract, reader)


def _touched(old: Snapshot, new: Snapshot) -> set[str]:
    """The files that changed, and those that borrow from one that did."""
    files = old.documents.keys() | new.documents.keys()
    touched = {file for file in files if old.documents.get(file) != new.documents.get(file)}
    borrowed = {file: _borrowed(old, file) | _borrowed(new, file) for file in files}
    while more := {file for file in files - touched if borrowed[file] & touched}:
        touched |= more
    return touched


def _borrowed(snapshot: Snapshot, file: str) -> set[str]:
    """The files that a file's references lead to."""
    root = Schema(snapshot, Place(file), snapshot.documents.get(file))
    targets = (root.target(reference) for reference in _references(root.value))
    return {target.place.file for target in targets if target is not None}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _file(old: Snapshot, new: Snapshot, file: str, walk: Walk) -> Iterator[Change]:
    before, after = old.documents.get(file), new.documents.get(file)
    root = Place(file)
    both = (before, after)
    if before is None or after is None:
        yield changed("contract_added" if before is None else "data_changed", root, file)
    elif all(operations.is_openapi(one) for one in both):
        yield from operations.compare(old, new, file, walk)
    elif all(documents.is_schema(one) for one in both):
        yield from documents.compare(old, new, file, walk)
    elif before != after:
        yield from _data(before, after, root)


def _data(before: Any, after: Any, root: Place) -> Iterator[Change]:
    if errors_data.is_catalogue(before) and errors_data.is_catalogue(after):
        yield from errors_data.compare(before, after, root)
    elif lifecycle_data.is_lifecycle(before) and lifecycle_data.is_lifecycle(after):
        yield from lifecycle_data.compare(before, after, root)
    else:
        yield changed("data_changed", root, root.file, certain=False)


def _reader(snapshot: Snapshot, contract: str) -> Reader:
    document = snapshot.documents.get(f"{contract}/schema.json", {})
    return Reader.STRICT if document.get("x-dragan-reader") == "strict" else Reader.TOLERANT


def _said(before: str, after: str, contract: str, reader: Reader) -> Iterator[Change]:
    """The rules of a README's table, by id: a schema cannot say them, and they judge all the same."""
    earlier, now = dict(_SAID.findall(before)), dict(_SAID.findall(after))
    for rule in sorted(now.keys() - earlier.keys()):
        yield changed("said_rule_added", f"{contract}#{rule}", now[rule].strip(" |"), reader=reader)
    for rule in sorted(earlier.keys() - now.keys()):
        yield changed("said_rule_removed", f"{contract}#{rule}", earlier[rule].strip(" |"), reader=reader)
    for rule in sorted(earlier.keys() & now.keys()):
        if earlier[rule] != now[rule]:
            yield changed("words_changed", f"{contract}#{rule}", rule)
