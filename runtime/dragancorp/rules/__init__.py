"""The rules of the contracts that no schema can say, and the one place where they are kept.

A contract's README lists its rules by id (`ENV-1`); here each id has the check that goes with it, in a module for each
group of contracts. `violations` is what a document is judged by: the schema first, then, if the schema holds, these
rules. A document inside another one keeps its own contract's rules there too: each lane of a lanes file, the envelope
of a mission record.

A contract is named by its folder (`lane`); a shape inside one by the folder and its place (`errors#/$defs/catalogue`).
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from dragancorp.errors import DraganError, ErrorCode, Violation
from dragancorp.rules import clone, conformance, lane, lane_process, mission, overlay, program, rollout, tables
from dragancorp.rules.rule import Breach, Rule, parts
from dragancorp_contracts import judge

__all__ = ["ACROSS", "RULES", "Breach", "Rule", "checked", "violations"]

Document = TypeVar("Document")

RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        **mission.RULES,
        **lane.RULES,
        **lane_process.RULES,
        **tables.RULES,
        **rollout.RULES,
        **overlay.RULES,
        **clone.RULES,
        **conformance.RULES,
        **program.RULES,
    }
)
"""The rules beyond the schema, by contract."""

ACROSS: Mapping[str, Mapping[str, str]] = MappingProxyType({**mission.ACROSS, **overlay.ACROSS})
"""Rules that look at more than one document: by contract, the sentence of each id. Who holds the documents checks."""

_WITHIN: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]] = MappingProxyType(
    {
        "lanes-file": ((("lanes", "*"), "lane"),),
        "gateway-turn": ((("event",), "mission-event"),),
        "vp-session-registry": ((("mission", "envelope"), "mission-envelope"), (("mission_event",), "mission-event")),
        "metrics-snapshot": (
            (("recent_missions", "*", "envelope"), "mission-envelope"),
            (("recent_events", "*"), "mission-event"),
        ),
    }
)


def violations(name: str, document: object) -> list[Violation]:
    """Every rule of the contract that the document breaks; an empty list when it is valid.

    Raises `KeyError` for a contract there is not.
    """
    contract, _, place = name.partition("#")
    if place:
        found = judge.violations_at(f"{contract}/v1/schema.json#{place}", document)
    else:
        found = judge.violations(contract, document)
    return found or list(_beyond_schema(name, document, ""))


def checked(name: str, document: Document) -> Document:
    """The document itself, once it is known to be valid.

    Raises `DraganError` (`document_invalid`) with every violation.
    """
    found = violations(name, document)
    if found:
        first = found[0]
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        place = f" at {first.pointer}" if first.pointer else ""
        raise DraganError(
            ErrorCode.DOCUMENT_INVALID, f"{name}{place}: {first.message} [{first.rule}]{more}", violations=found
        )
    return document


def _beyond_schema(name: str, document: Any, prefix: str) -> Iterator[Violation]:
    for rule in RULES.get(name, ()):
        for pointer, message in rule.check(document):
            yield Violation(pointer=prefix + pointer, rule=rule.id, message=message)
    for path, contract in _WITHIN.get(name, ()):
        for pointer, part in parts(document, path):
            yield from _beyond_schema(contract, part, prefix + pointer)
