"""What a spec may look like: the written subset that schema, model and documentation agree on.

Rules, each with its place and the way to write it instead:

* SUB-1  the root is a plain object with a PascalCase `title`, a `description` and `properties`
* SUB-2  every object says `additionalProperties`
* SUB-3  every property has a `description`, its own or that of what it refers to
* SUB-4  `$id` is the contract's own address
* SUB-5  every `$ref` leads somewhere, and is relative
* SUB-6  the root says how it is read: `x-dragan-reader` is `strict` or `tolerant`
* SUB-7  no `patternProperties`
* SUB-8  `multipleOf` is an integer
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin

from dragancorp.codegen.sources import BASE, Sources, Spec, read

_TITLE = re.compile(r"^[A-Z][A-Za-z0-9]*$")

# Keywords whose value is one schema, a list of schemas, or a map of schemas.
_ONE = (
    "items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else", "unevaluatedProperties",
)  # fmt: skip
_LIST = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAP = ("properties", "$defs", "dependentSchemas", "patternProperties")
# Below these a schema only refines another one, and need not say everything again.
_REFINING = {"if", "then", "else", "allOf", "anyOf", "oneOf", "not", "dependentSchemas"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule that a spec breaks."""

    file: Path
    pointer: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}#{self.pointer}: {self.rule}: {self.message}"


class SpecsInvalid(ValueError):  # noqa: N818 - the name says what is wrong
    """The specs cannot be generated from; `findings` says where and why."""

    def __init__(self, findings: list[Finding], message: str = "") -> None:
        super().__init__(message or "\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


def lint(root: Path) -> list[Finding]:
    """Every rule that the specs below a folder break, file by file. Raises `SpecsInvalid` for what is not JSON."""
    try:
        sources = read(root)
    except ValueError as error:
        raise SpecsInvalid([], str(error)) from error
    return [finding for spec in sources.specs for finding in _Linter(sources, spec).findings()]


class _Linter:
    def __init__(self, sources: Sources, spec: Spec) -> None:
        self._spec = spec
        self._documents = {f"{BASE}{other.contract}/schema.json": other.schema for other in sources.specs}
        self._address = f"{BASE}{spec.contract}/schema.json"

    def findings(self) -> Iterator[Finding]:
        yield from self._root(self._spec.schema)
        yield from self._schema(self._spec.schema, (), refining=False)

    def _finding(self, path: tuple[str, ...], rule: str, message: str) -> Finding:
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
        return Finding(file=self._spec.path, pointer=pointer, rule=rule, message=message)

    def _root(self, schema: dict[str, Any]) -> Iterator[Finding]:
        if schema.get("type") != "object" or not isinstance(schema.get("properties"), dict) or "$ref" in schema:
            yield self._finding((), "SUB-1", 'the root is no plain object; write "type": "object" and "properties"')
        if not _TITLE.match(str(schema.get("title", ""))) or not schema.get("description"):
            yield self._finding((), "SUB-1", "the root needs a PascalCase `title` and a `description`")
        for keyword in ("oneOf", "anyOf"):
            if keyword in schema:
                message = f"`{keyword}` at the root; write one flat object with a `type` enum and if/then in `allOf`"
                yield self._finding((keyword,), "SUB-1", message)
        if schema.get("$id") != self._address:
            yield self._finding(("$id",), "SUB-4", f'write "$id": "{self._address}"')
        if schema.get("x-dragan-reader") not in {"strict", "tolerant"}:
            message = 'write "x-dragan-reader": "strict" for what is received, "tolerant" for what is answered'
            yield self._finding((), "SUB-6", message)

    def _schema(self, schema: Any, path: tuple[str, ...], *, refining: bool) -> Iterator[Finding]:
        if not isinstance(schema, dict):
            return
        if "$ref" in schema and self._target(schema["$ref"]) is None:
            wanted = "`#/$defs/NAME` or `../../NAME/v1/schema.json#/$defs/NAME`"
            message = f"{schema['$ref']!r} leads nowhere; write {wanted}"
            yield self._finding((*path, "$ref"), "SUB-5", message)
        if schema.get("type") == "object" and "additionalProperties" not in schema and not refining:
            message = "an object that does not say `additionalProperties`; write false (strict) or true (tolerant)"
            yield self._finding(path, "SUB-2", message)
        if "patternProperties" in schema:
            message = "write an object with `propertyNames` and one schema in `additionalProperties` instead"
            yield self._finding((*path, "patternProperties"), "SUB-7", message)
        multiple = schema.get("multipleOf")
        if multiple is not None and (isinstance(multiple, bool) or not isinstance(multiple, int)):
            message = "fractions are read differently by different validators; count in integer minor units"
            yield self._finding((*path, "multipleOf"), "SUB-8", message)
        if not refining:
            yield from self._described(schema, path)
        for keyword, place, inner in children(schema):
            yield from self._schema(inner, (*path, *place), refining=refining or keyword in _REFINING)

    def _described(self, schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[Finding]:
        properties = schema.get("properties")
        for name, inner in properties.items() if isinstance(properties, dict) else ():
            if not isinstance(inner, dict) or inner.get("description"):
                continue
            target = self._target(inner.get("$ref"))
            if not (isinstance(target, dict) and target.get("description")):
                message = f"the property `{name}` says nothing of itself; write a `description`"
                yield self._finding((*path, "properties", name), "SUB-3", message)

    def _target(self, reference: Any) -> Any:
        """What a reference leads to, or None. An absolute one is treated as leading nowhere."""
        if not isinstance(reference, str) or "://" in reference:
            return None
        address, fragment = urldefrag(urljoin(self._address, reference))
        return resolve(self._documents.get(address), fragment)


def resolve(document: Any, fragment: str) -> Any:
    """The part of a document that a JSON pointer names, or None."""
    if fragment and not fragment.startswith("/"):
        return None
    node = document
    for part in fragment.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(key)
        elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node


def children(schema: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """The schemas directly inside a schema: (keyword, path from here, schema)."""
    for keyword in _ONE:
        if keyword in schema:
            yield keyword, (keyword,), schema[keyword]
    for keyword in _LIST:
        for index, inner in enumerate(schema.get(keyword, ())):
            yield keyword, (keyword, str(index)), inner
    for keyword in _MAP:
        inner = schema.get(keyword)
        for name, value in inner.items() if isinstance(inner, dict) else ():
            yield keyword, (keyword, name), value
