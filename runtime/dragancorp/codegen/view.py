"""The typed view of a schema: what its model shows of it, in the few words that the model generator reads right.

Every step only widens: whatever a schema accepts, its view accepts too. What a view does not say (conditions, patterns
of names, members that depend on others, bounds and patterns) is held by the judge, which every root asks first; asking
for it twice would cost as much again.
"""

import re
from collections.abc import Iterator
from typing import Any

from dragancorp.codegen.naming import TAKEN, class_name, unique
from dragancorp.codegen.references import Place, References, root
from dragancorp.codegen.sources import Sources, Spec
from dragancorp.codegen.value_types import EVERY, Types, followed, type_of

# What says more than where a value comes from; a schema without any is a mere reference or choice.
_SAYING = {"type", "properties", "items", "prefixItems", "additionalProperties", "enum", "const", "required"}

View = dict[str, Any]


class Views:
    """The staged document of every spec: its root class, and the shapes that have classes of their own."""

    def __init__(self, sources: Sources, references: References) -> None:
        self._references = references
        self._inlining: list[tuple[str, str]] = []
        self._types = Types(references)
        self._names: dict[tuple[str, str], str] = {}
        self._moved: View = {}
        for spec in sources.specs:
            taken = {spec.title}
            for place in self._shapes(spec):
                key = class_name(place.path[1])
                self._names[spec.module, place.pointer] = unique(key, taken, glue="")

    def staged(self, spec: Spec) -> View:
        """The document the model generator gets for one spec; a root that is no object stands in the member `root`."""
        place = root(spec)
        self._moved = {}
        view = (
            self._object(place) if self._is_class(place) else {"type": "object", "properties": {"root": self.of(place)}}
        )
        if not self._is_class(place):
            view |= {"required": ["root"], **_said(place)}
        definitions = {
            self._names[spec.module, shape.pointer]: self._own(shape)
            for shape in self._shapes(spec)
            if self._is_named(shape)
        }
        return {"title": spec.title, **view, "$defs": definitions | self._moved}

    def is_value(self, spec: Spec) -> bool:
        """Whether the root is another value than an object with members."""
        return not self._is_class(root(spec))

    def _shapes(self, spec: Spec) -> Iterator[Place]:
        for keyword, place in root(spec).inner():
            if keyword in {"$defs", "definitions"}:
                yield place

    def of(self, place: Place) -> View:
        """The view of a schema, or a reference to the class that stands for it."""
        types = self._types.of(place)
        if set(types) == set(EVERY) or not types:
            return _said(place)
        schema = place.schema
        target = followed(place, self._references) if "$ref" in schema and not _SAYING & schema.keys() else None
        if target is not None and "allOf" not in schema:
            return {**self._referred(target), **_said(place)}
        choices = self._choices(place)
        if choices is not None:
            return {**choices, **_said(place)}
        return self._own(place)

    def _own(self, place: Place) -> View:
        types = self._types.of(place)
        views = [self._of_type(place, name) for name in types if not (name == "integer" and "number" in types)]
        if not views or set(types) == set(EVERY):
            return _said(place)
        if len(views) == 1:
            return views[0]
        return {
            "anyOf": [{key: value for key, value in view.items() if key != "description"} for view in views],
            **_said(place),
        }

    def _referred(self, place: Place) -> View:
        """A reference where the target has a class of its own; else its view, written out where it is used."""
        if self._is_class(place) and not place.path:
            return {"$ref": f"{place.spec.module}.json"}
        if self._is_named(place):
            return {"$ref": f"{place.spec.module}.json#/$defs/{self._names[place.spec.module, place.pointer]}"}
        key = (place.spec.module, place.pointer)
        if key in self._inlining:  # a value inside itself without an object between: the judge alone knows it
            return {}
        self._inlining.append(key)
        try:
            return self.of(place)
        finally:
            self._inlining.pop()

    def _is_named(self, place: Place) -> bool:
        """Whether a shape has a class of its own: an object with members, or a choice of texts."""
        if (place.spec.module, place.pointer) not in self._names:
            return False
        return self._is_class(place) or (self._types.of(place) == ["string"] and "enum" in self._string(place))

    def _is_class(self, place: Place) -> bool:
        return self._types.of(place) == ["object"] and bool(self._members(place)) and not self._mere_choice(place)

    def _mere_choice(self, place: Place) -> bool:
        return not self._members(place) or (self._choices(place) is not None)

    def _choices(self, place: Place) -> View | None:
        """The view of a schema that only offers alternatives."""
        schema = place.schema
        if (_SAYING - {"type"}) & schema.keys() or {"allOf", "$ref"} & schema.keys():
            return None
        for keyword in ("anyOf", "oneOf"):
            if isinstance(schema.get(keyword), list):
                views = [self._inlined(inner) for key, inner in place.inner() if key == keyword]
                return {"anyOf": views} if all(_types_something(view) for view in views) else {}
        return None

    def _inlined(self, place: Place) -> View:
        key = (place.spec.module, place.pointer)
        if key in self._inlining:
            return {}
        self._inlining.append(key)
        try:
            return self.of(place)
        finally:
            self._inlining.pop()

    def _of_type(self, place: Place, name: str) -> View:
        if name == "object":
            return self._object(place)
        if name == "array":
            return self._array(place)
        if name == "string":
            return self._string(place)
        if name in {"integer", "number"}:
            # A number stays what it came as: 5 is not made 5.0, and no digit of a long one is lost.
            return {"type": "integer" if name == "integer" else ["integer", "number"], **_said(place)}
        return {"type": name, **_said(place)}

    def _object(self, place: Place) -> View:
        members = self._members(place)
        closing = place.schema.get("additionalProperties", True)
        alone = (
            len(list(self._layers(place))) == 1
            and not {"patternProperties", "unevaluatedProperties"} & place.schema.keys()
        )
        if not members:
            inner = next((one for key, one in place.inner() if key == "additionalProperties"), None)
            values = self.of(inner) if alone and inner is not None else {}
            return {"type": "object", "additionalProperties": values or True, **_said(place), **self._default(place)}
        properties = {name: {**self._named(name, self.of(one)), **self._default(one)} for name, one in members.items()}
        wanted = {name for layer in self._layers(place) for name in _names(layer.schema.get("required"))}
        return {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name in wanted],
            "additionalProperties": closing is not False or not alone,
            **_said(place),
        }

    def _named(self, name: str, view: View) -> View:
        """The view of a member; where its name makes no good class name, shapes in it get one of our choosing."""
        if (
            re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
            and class_name(name) not in TAKEN
            and not class_name(name).endswith("Document")
        ):
            return view
        if view.get("type") == "object" and "properties" in view:
            title = unique(f"{class_name(name)}Member", set(self._moved), glue="")
            self._moved[title] = view
            return {"$ref": f"#/$defs/{title}", **{key: view[key] for key in ("description",) if key in view}}
        inner: View = {
            key: self._named(name, view[key])
            for key in ("items", "additionalProperties")
            if isinstance(view.get(key), dict)
        }
        if "anyOf" in view:
            inner["anyOf"] = [self._named(name, one) for one in view["anyOf"]]
        return {**view, **inner}

    def _array(self, place: Place) -> View:
        layers = list(self._layers(place))
        view: View = {"type": "array"}
        if not any("prefixItems" in layer.schema for layer in layers):
            items = next((one for layer in layers for key, one in layer.inner() if key == "items"), None)
            view["items"] = self.of(items) if items is not None else {}
        return view | _said(place)

    def _string(self, place: Place) -> View:
        schema = place.schema
        values = schema.get("enum", [schema["const"]] if "const" in schema else None)
        texts = [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
        if texts and _nameable(texts):
            return {"type": "string", "enum": texts, **_said(place)}
        return {"type": "string", **_said(place)}

    def _members(self, place: Place) -> dict[str, Place]:
        """Every member that any layer names, first come first served: each layer is a condition on its own."""
        found: dict[str, Place] = {}
        for layer in self._layers(place):
            for key, one in layer.inner():
                if key == "properties":
                    found.setdefault(one.path[-1], one)
        return found

    def _layers(self, place: Place, seen: tuple[tuple[str, str], ...] = ()) -> Iterator[Place]:
        """The schema and all that must hold beside it: what it refers to, and the members of `allOf`."""
        key = (place.spec.module, place.pointer)
        if not isinstance(place.schema, dict) or key in seen:
            return
        yield place
        target = followed(place, self._references)
        if target is not None:
            yield from self._layers(target, (*seen, key))
        for keyword, inner in place.inner():
            if keyword == "allOf" and _asks_for_more(inner.schema):
                yield from self._layers(inner, (*seen, key))

    def _default(self, place: Place) -> View:
        default = place.schema.get("default", ...) if isinstance(place.schema, dict) else ...
        fits = isinstance(default, bool | int | str) and type_of(default) in self._types.of(place)
        if not fits:
            return {}
        values = next((layer.schema["enum"] for layer in self._layers(place) if "enum" in layer.schema), [default])
        return {"default": default} if default in values else {}


def _said(place: Place) -> View:
    said = place.schema.get("description") if isinstance(place.schema, dict) else None
    return {"description": said} if isinstance(said, str) else {}


def _types_something(view: View) -> bool:
    return bool({"type", "$ref", "anyOf"} & view.keys())


def _asks_for_more(schema: Any) -> bool:
    """A condition alone (`if` ... `then`) says nothing that a view can show."""
    return isinstance(schema, dict) and bool({"$ref", "allOf", *_SAYING} & schema.keys())


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _nameable(texts: list[str]) -> bool:
    """Whether every text makes a name of its own for an enum's member."""
    names = {class_name(text).upper() for text in texts}
    return len(names) == len(texts) and all(text.isascii() and text.strip() and len(text) <= 100 for text in texts)
