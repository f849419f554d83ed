"""Rules of missions: the envelope and the entries of the ledger."""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from dragancorp.rules.rule import Breach, Rule, RulesByContract, moment, parts, repeated

_FINAL = MappingProxyType(
    {
        "vp.mission.completed": "completed",
        "vp.mission.failed": "failed",
        "vp.mission.cancelled": "cancelled",
        "vp.mission.timed_out": "timed_out",
    }
)


def _window_ends_after_it_starts(envelope: Any) -> Iterator[Breach]:
    window = envelope.get("autonomy_window", {})
    if {"start_at", "end_at"} <= window.keys() and moment(window["end_at"]) <= moment(window["start_at"]):
        yield "/autonomy_window/end_at", f"{window['end_at']} is not later than start_at, {window['start_at']}"


def _deadline_after_creation(envelope: Any) -> Iterator[Breach]:
    if {"deadline_at", "created_at"} <= envelope.keys():
        deadline, created = envelope["deadline_at"], envelope["created_at"]
        if moment(deadline) <= moment(created):
            yield "/deadline_at", f"{deadline} is not later than created_at, {created}"


def _extensions_once(envelope: Any) -> Iterator[Breach]:
    for pointer, uri in repeated(parts(envelope, ("extensions", "*", "uri"), "")):
        yield pointer, f"the extension {uri} is given twice"


def _no_mission_is_its_own_parent(envelope: Any) -> Iterator[Breach]:
    if "mission_id" in envelope and envelope.get("parent_mission_id") == envelope["mission_id"]:
        yield "/parent_mission_id", "a mission cannot be its own parent"


def _artifacts_once(event: Any) -> Iterator[Breach]:
    for pointer, name in repeated(parts(event, ("artifact_index", "*", "name"), "")):
        yield pointer, f"the artifact {name} is listed twice"


def _final_events_and_final_states(event: Any) -> Iterator[Breach]:
    status = event["status"]
    wanted = _FINAL.get(event["type"])
    if wanted is not None and status != wanted:
        yield "/status", f"{event['type']} leaves a mission {wanted}, not {status}"
    elif wanted is None and status in _FINAL.values():
        yield "/status", f"{event['type']} does not end a mission, so it is not {status} afterwards"


def _chain_starts_at_one(event: Any) -> Iterator[Breach]:
    if event["sequence"] == 1 and "previous_digest" in event:
        yield "/previous_digest", "the first entry of a ledger has none before it"


RULES: RulesByContract = {
    "mission-envelope": (
        Rule.of("ENV-1", "An autonomy window ends later than it starts.", _window_ends_after_it_starts),
        Rule.of("ENV-2", "The deadline is later than the creation.", _deadline_after_creation),
        Rule.of("ENV-3", "Each extension is given at most once.", _extensions_once),
        Rule.of("ENV-4", "A mission is not its own parent.", _no_mission_is_its_own_parent),
    ),
    "mission-event": (
        Rule.of("EVT-1", "The artifact index lists each artifact once.", _artifacts_once),
        Rule.of("EVT-2", "A final event, and no other, leaves the state it names.", _final_events_and_final_states),
        Rule.of("EVT-3", "The first entry of a ledger has no previous digest.", _chain_starts_at_one),
    ),
}

ACROSS: dict[str, dict[str, str]] = {
    "mission-envelope": {
        "ENV-5": "A child mission only narrows its parent: tools, budget, deadline, depth.",
        "ENV-6": "A mission id that the caller chose is new.",
    },
}
"""Rules that look at several missions; checked where both are at hand: `dragancorp.missions.children`, the registry."""
