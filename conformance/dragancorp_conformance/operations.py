"""The operations of the contract, and what the implementation itself says of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from dragancorp_contracts.api.document import openapi_document

METHODS = frozenset({"get", "put", "post", "delete", "patch"})
NOWHERE = "conformance-no-such-thing"
NO_LANE = "vp.conformance.nobody"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the contract."""

    id: str
    method: str
    path: str
    level: str
    scopes: tuple[str, ...]
    public: bool
    takes_body: bool

    @property
    def safe(self) -> bool:
        """Whether it only reads."""
        return self.method == "GET"

    def address(self, **known: str) -> str:
        """Its path; a parameter that is not `known` names something there is not."""
        path = self.path
        while "{" in path:
            name = path.partition("{")[2].partition("}")[0]
            path = path.replace("{" + name + "}", known.get(name, NO_LANE if name == "vp_id" else NOWHERE))
        return path


@cache
def operations() -> Mapping[str, Operation]:
    """The contract's operations by id."""
    return {one.id: one for one in _in(openapi_document())}


@cache
def longest_wait() -> float:
    """How long, in seconds, a request may ask a server to wait with its answer."""
    return max(
        float(parameter["schema"]["maximum"])
        for _, _, node in described(openapi_document())
        for parameter in node.get("parameters", ())
        if parameter.get("name") == "wait"
    )


def _in(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, method, node in described(document):
        security = node.get("security", document.get("security", []))
        yield Operation(
            id=node["operationId"],
            method=method.upper(),
            path=path,
            level=node.get("x-dragan-level", "core"),
            scopes=tuple(node.get("x-dragan-scopes", ())),
            public=not security or {} in security,
            takes_body="requestBody" in node,
        )


def described(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(path, method, operation) of every operation in an OpenAPI document."""
    for path, item in document.get("paths", {}).items():
        for method, node in item.items():
            if method in METHODS and isinstance(node, dict):
                yield path, method, node
