"""Three readers of one schema: Python's `jsonschema`, the generated judge, and the generated model."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
from jsonschema.validators import Draft202012Validator, extend
from pydantic import ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from .documents import Resolve

_END = re.compile(r"(?<!\\)((?:\\\\)*)\$")
_COMPILED: dict[str, re.Pattern[str]] = {}


def _as_in_ecma_262(pattern: str) -> re.Pattern[str]:
    # Python's `$` also matches before a final newline; that of ECMA-262, and of JSON Schema, does not.
    if pattern not in _COMPILED:
        outside = re.split(r"(\[(?:\\.|[^\]\\])*\])", pattern)
        exact = "".join(part if index % 2 else _END.sub(r"\1\\Z", part) for index, part in enumerate(outside))
        _COMPILED[pattern] = re.compile(exact)
    return _COMPILED[pattern]


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if validator.is_type(instance, "string") and not _as_in_ecma_262(pattern).search(instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


_Reference = extend(Draft202012Validator, {"pattern": _pattern})


class Readers:
    """The readers of every schema of a package; `formats` says whether `format` is checked."""

    def __init__(self, documents: list[tuple[str, Any]], *, formats: bool) -> None:
        # Without `$schema`, which would call in the library's own reader, with Python's `$`.
        plain = [
            (at, {k: v for k, v in one.items() if k != "$schema"} if isinstance(one, dict) else one)
            for at, one in documents
        ]
        self._registry: Any = Registry().with_resources((at, DRAFT202012.create_resource(one)) for at, one in plain)
        self._registry = self._registry.crawl()
        self._checker = Draft202012Validator.FORMAT_CHECKER if formats else None

    def reference(self, address: str) -> Any:
        """Python's `jsonschema` for the schema at an address."""
        found = self._registry.resolver().lookup(address)
        # The schema itself rather than a reference to it: one step less for each document.
        if not isinstance(found.contents, dict) or "$id" in found.contents or "#" in address:
            return _Reference({"$ref": address}, registry=self._registry, format_checker=self._checker)
        whole = {"$id": address, **found.contents}
        return _Reference(whole, registry=self._registry, format_checker=self._checker)

    @property
    def resolve(self) -> Resolve:
        """What a reference leads to, for drawing documents."""

        def resolved(base: str, reference: str) -> tuple[str, Any]:
            found = self._registry.resolver(base).lookup(reference)
            return found.resolver._base_uri, found.contents

        return resolved

    def contents(self, address: str) -> tuple[str, Any]:
        """The schema at an address, and the address its references start from."""
        found = self._registry.resolver().lookup(address)
        return found.resolver._base_uri, found.contents


def accepted(model: Any, document: Any) -> tuple[bool, Any]:
    """Whether the model takes the document, and what it gives back."""
    try:
        made = model.model_validate(document)
    except ValidationError:
        return False, None
    return True, made.as_document()


def same(one: Any, other: Any) -> bool:
    """Whether two documents are the same to JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return (type(one) is type(other) and one == other) or (
        isinstance(one, int | float) and isinstance(other, int | float) and one == other
    )


__all__ = ["Readers", "Unresolvable", "accepted", "same"]
