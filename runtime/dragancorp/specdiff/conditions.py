"""Conditions of a schema: `allOf`, `if`, `not` and their like, of which no single keyword says which way it went.

What is only added refuses more, what is only taken away refuses less. Of everything else the judge is asked, about the
object as a whole and then about its conditions alone; where it does not know, the stricter class stands.
"""

import json
from collections.abc import Iterator
from typing import Any

from dragancorp.specdiff.change import Change, changed
from dragancorp.specdiff.containment import Verdict, accepts, bundle
from dragancorp.specdiff.rules import Reader
from dragancorp.specdiff.schema import Schema

__all__ = ["changes", "pairs"]

_SEPARATE = ("allOf", "anyOf", "contains", "dependentRequired", "dependentSchemas", "not", "oneOf", "propertyNames")
_BRANCH = ("if", "then", "else")
# What these allow depends on keywords beside them: one that is gone may as well refuse more.
_ENTANGLED = (
    "$ref", "maxContains", "minContains", "patternProperties", "prefixItems", "unevaluatedItems",
    "unevaluatedProperties",
)  # fmt: skip
_ALL = (*_SEPARATE, *_BRANCH, *_ENTANGLED)


def pairs(old: Schema, new: Schema) -> Iterator[tuple[Schema, Schema]]:
    """The branches that stand opposite each other: to narrow one narrows the whole, and to widen one widens it."""
    for name in _monotone(old, new):
        before, after = old.keywords[name], new.keywords[name]
        for index in range(len(before.value)):
            yield before.child(str(index)), after.child(str(index))


def _monotone(old: Schema, new: Schema) -> list[str]:
    """`anyOf` and `allOf` where both have as many branches, and no branch only holds under a condition."""
    found = []
    for name in ("anyOf", "allOf"):
        branches = [side.keywords[name].value for side in (old, new) if name in side.keywords]
        plain = not any("if" in branch for each in branches for branch in each if isinstance(branch, dict))
        if len(branches) == 2 and len(branches[0]) == len(branches[1]) and plain:
            found.append(name)
    return found


def changes(old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
    """At most one change: that the conditions of the two, beside their `pairs`, are not the same."""
    asked = tuple(name for name in _ALL if name not in _monotone(old, new))
    differing = [name for name in asked if _normal(old, (name,)) != _normal(new, (name,))]
    if not differing:
        return
    before, after = _conjuncts(old, asked), _conjuncts(new, asked)
    separable = not any(name in _ENTANGLED for name in differing)
    as_wide = Verdict.YES if separable and after <= before else _judged(new, old, asked)
    as_narrow = Verdict.YES if separable and before <= after else _judged(old, new, asked)
    if as_wide is Verdict.YES and as_narrow is Verdict.YES:
        return  # said otherwise, and meaning the same
    if as_wide is not Verdict.YES and as_narrow is not Verdict.YES:
        name = "condition_changed"
    else:
        name = "condition_loosened" if as_wide is Verdict.YES else "condition_tightened"
    held = new.keywords.get(differing[0]) or old.keywords[differing[0]]
    certain = Verdict.UNKNOWN not in (as_wide, as_narrow)
    yield changed(name, held.place, ", ".join(differing), reader=reader, certain=certain)


def _judged(wide: Schema, narrow: Schema, asked: tuple[str, ...]) -> Verdict:
    """Whether one accepts what the other allows: as a whole, or by its conditions alone."""
    whole = accepts(wide, narrow)
    if whole is Verdict.YES:
        return whole
    # Other changes of the same object may be why; those are reported at their own places.
    alone = [_only(side, asked) for side in (wide, narrow)]
    if alone[0] is None or alone[1] is None:
        return whole
    said = accepts(alone[0], alone[1])
    return said if said is Verdict.YES else whole


def _conjuncts(schema: Schema, asked: tuple[str, ...]) -> set[str]:
    """The conditions that all must hold, each in a form that can be compared."""
    found = {
        f"{name}{text}"
        for name in asked
        if name in _SEPARATE and name != "allOf" and (text := _normal(schema, (name,)))
    }
    if branch := _normal(schema, _BRANCH):
        found.add(branch)
    every = schema.keywords.get("allOf")
    if every is not None and "allOf" in asked:
        for index in range(len(every.value)):
            found.add(json.dumps(bundle(every.child(str(index))), sort_keys=True))
    return found


def _normal(schema: Schema, names: tuple[str, ...]) -> str:
    """Those keywords with references followed and words left out; empty when there are none."""
    kept = _only(schema, names)
    if kept is not None:
        return json.dumps(bundle(kept), sort_keys=True) if kept.value else ""
    return json.dumps({name: schema.plain(name) for name in names if name in schema.keywords}, sort_keys=True)


def _only(schema: Schema, names: tuple[str, ...]) -> Schema | None:
    """A schema of those keywords alone; None when they are written in several files, whose references differ."""
    held: dict[str, Any] = {name: schema.keywords[name] for name in names if name in schema.keywords}
    files = {one.place.file for one in held.values()}
    if len(files) > 1:
        return None
    place = type(schema.place)(files.pop() if files else schema.place.file, schema.place.steps)
    return Schema(schema.snapshot, place, {name: one.value for name, one in held.items()})
