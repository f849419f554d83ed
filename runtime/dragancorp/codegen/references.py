"""What a reference in a schema leads to, by the rules of draft 2020-12."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from dragancorp.codegen.schema_tree import REFINING, Path, children, pointer, steps
from dragancorp.codegen.sources import Sources, Spec


@dataclass(frozen=True, kw_only=True)
class Place:
    """A schema, where it stands, and the address its own references start from."""

    spec: Spec
    path: Path
    base: str = field(compare=False)
    schema: Any = field(repr=False, compare=False)

    @property
    def pointer(self) -> str:
        """Its JSON pointer in the file."""
        return pointer(self.path)

    def inner(self) -> Iterator[tuple[str, "Place"]]:
        """The schemas directly inside, each with the keyword that holds it."""
        for keyword, step, schema in children(self.schema):
            yield keyword, self.at(step, schema)

    def at(self, step: Path, schema: Any) -> "Place":
        """A schema inside this one."""
        return Place(spec=self.spec, path=(*self.path, *step), base=_based(self.base, schema), schema=schema)

    def everything(self) -> Iterator["Place"]:
        """This schema and every one inside."""
        yield self
        for _, place in self.inner():
            yield from place.everything()


class References:
    """Every schema of the sources by its address."""

    def __init__(self, sources: Sources) -> None:
        self._resources: dict[str, Place] = {}
        self._anchors: dict[str, Place] = {}
        self.clashes: list[tuple[Place, str]] = []
        """Schemas whose address another one has already."""
        for spec in sources.specs:
            for place in root(spec).everything():
                self._enter(place)

    def _enter(self, place: Place) -> None:
        schema = place.schema if isinstance(place.schema, dict) else {}
        addresses = [place.base] if not place.path or isinstance(schema.get("$id"), str) else []
        if not place.path and place.spec.retrieved != place.base:
            addresses.append(place.spec.retrieved)
        for address in addresses:
            if self._resources.setdefault(address, place) is not place:
                self.clashes.append((place, address))
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(schema.get(keyword), str):
                address = f"{place.base}#{schema[keyword]}"
                if self._anchors.setdefault(address, place) is not place:
                    self.clashes.append((place, address))

    def find(self, base: str, reference: str) -> Place | None:
        """What a reference that stands at an address leads to, or None."""
        # Joined by hand where it stays in the document: `urljoin` does not know a base such as `urn:`.
        address, fragment = urldefrag(base + reference if reference.startswith("#") else urljoin(base, reference))
        start = self._resources.get(address)
        if start is None or not fragment:
            return start
        path = steps(unquote(fragment))
        if path is None:
            return self._anchors.get(f"{address}#{fragment}")
        return _below(start, path)

    def circular(self, place: Place) -> bool:
        """Whether the schema's reference leads back to the schema itself, for the very same value."""
        start, seen, pending = _key(place), set(), [place]
        while pending:
            for one in self._of_the_same_value(pending.pop()):
                if _key(one) == start:
                    return True
                if _key(one) not in seen:
                    seen.add(_key(one))
                    pending.append(one)
        return False

    def _of_the_same_value(self, place: Place) -> Iterator[Place]:
        if not isinstance(place.schema, dict):
            return
        for keyword, inner in place.inner():
            if keyword in REFINING:
                yield inner
        reference = place.schema.get("$ref")
        target = self.find(place.base, reference) if isinstance(reference, str) else None
        if target is not None:
            yield target

    def known(self) -> list[str]:
        """The addresses there are, sorted."""
        return sorted(self._resources)


def root(spec: Spec) -> Place:
    """The root schema of a spec."""
    return Place(spec=spec, path=(), base=spec.address, schema=spec.schema)


def _key(place: Place) -> tuple[Any, Path]:
    return place.spec.path, place.path


def _below(place: Place, path: Path) -> Place | None:
    # Step by step over schemas, so that what is found is a schema and its base address is right.
    while path:
        for _, step, schema in children(place.schema):
            if path[: len(step)] == step:
                place, path = place.at(step, schema), path[len(step) :]
                break
        else:
            return None
    return place


def _based(base: str, schema: Any) -> str:
    own = schema.get("$id") if isinstance(schema, dict) else None
    return urldefrag(urljoin(base, own))[0] if isinstance(own, str) else base
