"""The OpenAPI document: bundled into one self-contained file, and read as a list of operations."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urldefrag, urljoin

from dragancorp.codegen.findings import SpecsInvalid
from dragancorp.codegen.schema_tree import resolve
from dragancorp.codegen.sources import BASE, Sources

NAME = "ops-api"
FILE = "openapi.json"
ADDRESS = f"{BASE}{NAME}/v1/{FILE}"
METHODS = ("get", "put", "post", "delete", "patch")
JSON_TYPE, BYTES_TYPE = "application/json", "application/octet-stream"

_PYTHON = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list[str]"}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One path, query or header parameter."""

    name: str
    where: str
    required: bool
    kind: str
    default: Any
    reference: str
    description: str

    @property
    def argument(self) -> str:
        """Its name in Python."""
        return re.sub(r"[^a-z0-9]", "_", self.name.lower())

    @property
    def annotation(self) -> str:
        """Its type in Python; one that may be missing and has no default may be None."""
        bare = _PYTHON[self.kind]
        return bare if self.required or self.default is not None else f"{bare} | None"


@dataclass(frozen=True, kw_only=True)
class Body:
    """The JSON document that an operation takes, or the bytes; then there is no schema to refer to."""

    reference: str
    required: bool
    limit: int
    description: str
    media_type: str = JSON_TYPE

    @property
    def binary(self) -> bool:
        """Whether it is bytes as they are."""
        return self.media_type == BYTES_TYPE


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    scopes: tuple[str, ...]
    public: bool
    served: bool
    level: str
    parameters: tuple[Parameter, ...] = field(default=())
    body: Body | None = None
    statuses: tuple[int, ...] = ()
    media_type: str = "application/json"
    waits: bool = False
    """Whether the caller may ask it to wait for news, by a parameter or a member `wait`."""
    model: tuple[str, str] | None = None
    """Module and class of what a success answers, where every success answers one contract's root."""

    @property
    def streams(self) -> bool:
        """Whether it answers server-sent events."""
        return self.media_type == "text/event-stream"

    @property
    def answers_bytes(self) -> bool:
        """Whether a success is the bytes of a file."""
        return self.media_type == BYTES_TYPE

    @property
    def answers_json(self) -> bool:
        """Whether a success is a JSON document, under whatever name."""
        return self.media_type == "application/json" or self.media_type.endswith("+json")


class Document:
    """The source document, with its references resolved against the specs."""

    def __init__(self, sources: Sources, source: dict[str, Any]) -> None:
        self._sources = sources
        self.source = source
        self._documents = {f"{BASE}{spec.contract}/schema.json": spec.schema for spec in sources.specs}
        self._documents[ADDRESS] = source
        self._specs = {f"{BASE}{spec.contract}/schema.json": spec for spec in sources.specs}

    def bundled(self) -> dict[str, Any]:
        """The document with everything it refers to under `components/schemas`, and no reference out of it."""
        components: dict[str, Any] = {}
        waiting: list[tuple[str, str, str]] = []

        def named(address: str, fragment: str) -> str:
            spec = self._specs[address]
            part = fragment.removeprefix("/$defs/")
            name = spec.title + "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", part))
            if name in self.source.get("components", {}).get("schemas", {}):
                raise SpecsInvalid([], f"{ADDRESS}: the component {name} has the name of a contract; rename it")
            if name not in components:
                components[name] = None  # reserves the place, so that a recursive contract ends
                waiting.append((name, address, fragment))
            return f"#/components/schemas/{name}"

        def rewritten(node: Any, base: str) -> Any:
            if isinstance(node, list):
                return [rewritten(item, base) for item in node]
            if not isinstance(node, dict):
                return node
            result = {key: rewritten(value, base) for key, value in node.items()}
            if isinstance(node.get("$ref"), str):
                address, fragment = urldefrag(urljoin(base, node["$ref"]))
                self._found(node["$ref"], address, fragment)
                result["$ref"] = f"#{fragment}" if address == ADDRESS else named(address, fragment)
            return result

        document: dict[str, Any] = rewritten(self.source, ADDRESS)
        while waiting:
            name, address, fragment = waiting.pop()
            schema = dict(resolve(self._documents[address], fragment))
            for keyword in ("$id", "$schema", "$defs"):
                schema.pop(keyword, None)
            components[name] = rewritten(schema, address)
        schemas = {**document.get("components", {}).get("schemas", {}), **components}
        document.setdefault("components", {})["schemas"] = dict(sorted(schemas.items()))
        return document

    def operations(self) -> list[Operation]:
        """Every operation in the order of the document. Raises `SpecsInvalid` for what it does not say."""
        return [
            self._operation(path, item, method)
            for path, item in self.source["paths"].items()
            for method in METHODS
            if method in item
        ]

    def _operation(self, path: str, item: dict[str, Any], method: str) -> Operation:
        source = item[method]
        place = f"/paths/{_escaped(path)}"
        missing = {"operationId", "summary", "x-dragan-scopes", "x-dragan-level", "x-dragan-status"} - source.keys()
        if missing:
            raise SpecsInvalid([], f"{NAME}/v1/{FILE}#{place}/{method}: add {', '.join(sorted(missing))}")
        successes = {
            status: self._followed(answer)[0]
            for status, answer in source["responses"].items()
            if status.startswith("2") or status == "304"
        }
        parameters = (
            *self._parameters(item, f"{place}"),
            *self._parameters(source, f"{place}/{method}"),
        )
        return Operation(
            id=source["operationId"],
            method=method.upper(),
            path=path,
            summary=source["summary"],
            description=source.get("description", ""),
            scopes=tuple(source["x-dragan-scopes"]),
            public=source.get("security", self.source.get("security", [])) == [],
            served=source["x-dragan-status"] == "served",
            level=source["x-dragan-level"],
            parameters=parameters,
            body=self._body(source, f"{place}/{method}"),
            statuses=tuple(sorted(int(status) for status in successes)),
            media_type=_media_type(successes),
            waits=any(one.name == "wait" for one in parameters) or self._body_waits(source),
            model=self._model(successes),
        )

    def _parameters(self, owner: dict[str, Any], place: str) -> Iterator[Parameter]:
        for index, given in enumerate(owner.get("parameters", ())):
            parameter, at = self._followed(given, f"{place}/parameters/{index}")
            schema, reference = self._followed(parameter["schema"], f"{at}/schema")
            kind = schema.get("type")
            if kind not in _PYTHON or parameter["in"] not in {"path", "query", "header"}:
                raise SpecsInvalid([], f"{NAME}/v1/{FILE}#{at}: write one plain type, in path, query or header")
            yield Parameter(
                name=parameter["name"],
                where=parameter["in"],
                required=parameter.get("required", False),
                kind=kind,
                default=schema.get("default"),
                reference=_relative(reference),
                description=parameter.get("description", ""),
            )

    def _body(self, source: dict[str, Any], place: str) -> Body | None:
        if "requestBody" not in source:
            return None
        body, at = self._followed(source["requestBody"], f"{place}/requestBody")
        limit = source.get("x-dragan-limits", {}).get("body_bytes")
        if list(body["content"]) not in ([JSON_TYPE], [BYTES_TYPE]) or not isinstance(limit, int):
            wanted = f"{JSON_TYPE} or {BYTES_TYPE}, and x-dragan-limits.body_bytes"
            raise SpecsInvalid([], f"{NAME}/v1/{FILE}#{at}: write {wanted}")
        [(media_type, media)] = body["content"].items()
        _, reference = self._followed(media["schema"], f"{at}/content/{_escaped(media_type)}/schema")
        return Body(
            reference=_relative(reference),
            required=body.get("required", False),
            limit=limit,
            description=body.get("description", ""),
            media_type=media_type,
        )

    def _body_waits(self, source: dict[str, Any]) -> bool:
        media = self._followed(source.get("requestBody", {}))[0].get("content", {}).get(JSON_TYPE, {})
        return "wait" in self._followed(media.get("schema", {}))[0].get("properties", {})

    def _model(self, successes: dict[str, Any]) -> tuple[str, str] | None:
        found = {
            media.get("schema", {}).get("$ref", "")
            for answer in successes.values()
            for media in answer.get("content", {}).values()
        }
        if len(found) != 1:
            return None
        address, fragment = urldefrag(urljoin(ADDRESS, found.pop()))
        spec = self._specs.get(address)
        return (spec.module, spec.title) if spec and not fragment else None

    def _followed(self, node: dict[str, Any], place: str = "") -> tuple[dict[str, Any], str]:
        """What a reference leads to, and its address; a node without one, where it stands."""
        address, fragment = ADDRESS, place
        while "$ref" in node:
            address, fragment = urldefrag(urljoin(address, node["$ref"]))
            node = self._found(node["$ref"], address, fragment)
        return node, f"{address}#{fragment}" if address != ADDRESS else fragment

    def _found(self, reference: str, address: str, fragment: str) -> dict[str, Any]:
        target = resolve(self._documents.get(address), fragment)
        if not isinstance(target, dict):
            raise SpecsInvalid([], f"{NAME}/v1/{FILE}: {reference!r} leads nowhere")
        return target


def _media_type(successes: dict[str, Any]) -> str:
    for answer in successes.values():
        for media_type in answer.get("content", {}):
            return str(media_type)
    return "application/json"


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _relative(address: str) -> str:
    """An address as the judge takes it: below the folder of all specs."""
    return address.removeprefix(BASE).removesuffix("#") if "#" in address else f"{NAME}/v1/{FILE}#{address}"
