"""The rules of the contracts that no schema can say, and the one place where they are kept.

A contract's README lists its rules by id (`ENV-1`); here each id has the check that goes with it. `violations` is what
a document is judged by: the schema first, then, if the schema holds, these rules. A document inside another one keeps
its own contract's rules there too: each lane of a lanes file, the envelope of a mission record.

A contract is named by its folder (`lane`); a shape inside one by the folder and its place (`errors#/$defs/catalogue`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from dragancorp.errors import DraganError, ErrorCode, Violation
from dragancorp_contracts import judge, resources

__all__ = ["RULES", "Breach", "Rule", "checked", "violations"]

Document = TypeVar("Document")

Breach = tuple[str, str]
"""Where a rule is broken, as a JSON pointer, and what is wrong there, in a sentence."""

_FINAL = MappingProxyType(
    {
        "vp.mission.completed": "completed",
        "vp.mission.failed": "failed",
        "vp.mission.cancelled": "cancelled",
        "vp.mission.timed_out": "timed_out",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule of a contract. `check` may count on the schema: it is called for nothing that breaks it."""

    id: str
    """The id, as the contract's README lists it."""
    sentence: str
    """What must hold."""
    check: Callable[[Any], Iterator[Breach]]
    """Yields every place that breaks the rule."""


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
        for pointer, part in _parts(document, path, ""):
            yield from _beyond_schema(contract, part, prefix + pointer)


def _parts(value: Any, path: tuple[str, ...], pointer: str) -> Iterator[tuple[str, Any]]:
    """The parts of a document at a path, in which `*` stands for every item of a list."""
    if not path:
        yield pointer, value
    elif path[0] == "*":
        for index, item in enumerate(value):
            yield from _parts(item, path[1:], f"{pointer}/{index}")
    elif path[0] in value:
        yield from _parts(value[path[0]], path[1:], f"{pointer}/{path[0]}")


def _repeated(values: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Of (pointer, value) pairs those whose value stood before."""
    seen: set[Any] = set()
    for pointer, value in values:
        if value in seen:
            yield pointer, value
        seen.add(value)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)  # aware: the schema takes no time without an offset


# mission-envelope


def _window_ends_after_it_starts(envelope: Any) -> Iterator[Breach]:
    window = envelope.get("autonomy_window", {})
    if {"start_at", "end_at"} <= window.keys() and _time(window["end_at"]) <= _time(window["start_at"]):
        yield "/autonomy_window/end_at", f"{window['end_at']} is not later than start_at, {window['start_at']}"


def _deadline_after_creation(envelope: Any) -> Iterator[Breach]:
    if {"deadline_at", "created_at"} <= envelope.keys():
        deadline, created = envelope["deadline_at"], envelope["created_at"]
        if _time(deadline) <= _time(created):
            yield "/deadline_at", f"{deadline} is not later than created_at, {created}"


def _extensions_once(envelope: Any) -> Iterator[Breach]:
    for pointer, uri in _repeated(_parts(envelope, ("extensions", "*", "uri"), "")):
        yield pointer, f"the extension {uri} is given twice"


def _no_mission_is_its_own_parent(envelope: Any) -> Iterator[Breach]:
    if "mission_id" in envelope and envelope.get("parent_mission_id") == envelope["mission_id"]:
        yield "/parent_mission_id", "a mission cannot be its own parent"


# mission-event


def _artifacts_once(event: Any) -> Iterator[Breach]:
    for pointer, name in _repeated(_parts(event, ("artifact_index", "*", "name"), "")):
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


# lane, lanes-file


@cache
def _lane_default(member: str) -> Any:
    return resources.read_document("lane")["properties"][member]["default"]


def _heartbeat_well_inside_the_lease(lane: Any) -> Iterator[Breach]:
    if "heartbeat_interval" not in lane:
        return
    interval, ttl = lane["heartbeat_interval"], lane.get("lease_ttl", _lane_default("lease_ttl"))
    # Decimals of the digits as written: 1.1 is a third of 3.3, though three times the float 1.1 is more than 3.3.
    if Decimal(str(interval)) * 3 > Decimal(str(ttl)):
        yield "/heartbeat_interval", f"{interval} s is more than a third of lease_ttl, {ttl} s"


def _parallel_missions_apart(lane: Any) -> Iterator[Breach]:
    if lane.get("parallel_missions", 1) > 1 and lane.get("workspace", {}).get("scope", "lane") != "mission":
        yield "/parallel_missions", 'several missions at once need a workspace each: "scope": "mission" in workspace'


def _lanes_once(file: Any) -> Iterator[Breach]:
    for pointer, vp_id in _repeated(_parts(file, ("lanes", "*", "vp_id"), "")):
        yield pointer, f"the lane {vp_id} is configured twice"


def _aliases_mean_one_lane(file: Any) -> Iterator[Breach]:
    owners: dict[str, int] = {}
    for number, lane in enumerate(file["lanes"]):
        for index, alias in enumerate(lane.get("aliases", ())):
            owner = owners.setdefault(alias.casefold(), number)
            if owner != number:
                other = file["lanes"][owner]["vp_id"]
                yield f"/lanes/{number}/aliases/{index}", f"the alias {alias} already stands for {other}"


def _flags_once(file: Any) -> Iterator[Breach]:
    for pointer, flag in _repeated(_parts(file, ("lanes", "*", "flag"), "")):
        yield pointer, f"the flag {flag} already belongs to another lane"


# tokens, errors


def _names_once(file: Any) -> Iterator[Breach]:
    for pointer, name in _repeated(_parts(file, ("tokens", "*", "name"), "")):
        yield pointer, f"the token name {name} is used twice"


def _digests_once(file: Any) -> Iterator[Breach]:
    for pointer, _ in _repeated(_parts(file, ("tokens", "*", "sha256"), "")):
        yield pointer, "another entry has the same digest, so it is the same token"


def _codes_once(catalogue: Any) -> Iterator[Breach]:
    for pointer, code in _repeated(_parts(catalogue, ("errors", "*", "code"), "")):
        yield pointer, f"the code {code} is used twice"


# lifecycle


def _declared(tables: Any, machine: str) -> dict[str, set[str]]:
    """What a transition or refusal of a machine may name, by the kind of name."""
    return {
        "state": {state["name"] for state in tables["states"][machine]},
        "trigger": {trigger["name"] for trigger in tables["triggers"][machine]},
        "guard": {guard["name"] for guard in tables["guards"] if guard["machine"] == machine},
        "event": {event["name"] for event in tables["events"] if event["machine"] == machine},
        "actor": {actor["name"] for actor in tables["actors"]},
        "holder": {holder["name"] for holder in tables["holders"]},
        "reason": {reason["code"] for reason in tables["reasons"]},
    }


_NAMING = (
    (("from", "*"), "state"),
    (("to",), "state"),
    (("triggers", "*"), "trigger"),
    (("who", "*"), "actor"),
    (("when", "*"), "guard"),
    (("guards", "*"), "guard"),
    (("event",), "event"),
    (("reason",), "reason"),
    (("set", "cause"), "reason"),
    (("set", "holder"), "holder"),
)


def _names_declared(tables: Any) -> Iterator[Breach]:
    declared = {machine: _declared(tables, machine) for machine in ("mission", "session")}
    for group in ("transitions", "refusals"):
        for index, row in enumerate(tables[group]):
            for path, kind in _NAMING:
                for pointer, name in _parts(row, path, f"/{group}/{index}"):
                    stands_for_itself = name is None or (path == ("set", "cause") and name == "command")
                    if not stands_for_itself and name not in declared[row["machine"]][kind]:
                        yield pointer, f"there is no {kind} {name} of a {row['machine']}"


def _steps_once(tables: Any) -> Iterator[Breach]:
    for pointer, step in _repeated(_parts(tables, ("transitions", "*", "id"), "")):
        yield pointer, f"the step {step} stands twice"


def _terminal_states_stay(tables: Any) -> Iterator[Breach]:
    for index, step in enumerate(tables["transitions"]):
        terminal = {state["name"] for state in tables["states"][step["machine"]] if state["terminal"]}
        for position, state in enumerate(step["from"]):
            if state in terminal:
                yield f"/transitions/{index}/from/{position}", f"{state} is terminal, and {step['id']} leaves it"


@cache
def _error_codes() -> frozenset[str]:
    return frozenset(entry["code"] for entry in resources.read_document("errors", file="errors.json")["errors"])


def _refusals_in_the_catalogue(tables: Any) -> Iterator[Breach]:
    named = [*_parts(tables, ("guards", "*", "refusal"), ""), *_parts(tables, ("refusals", "*", "code"), "")]
    for pointer, code in named:
        if code is not None and code not in _error_codes():
            yield pointer, f"the error catalogue has no code {code}"


def _names_declared_once(tables: Any) -> Iterator[Breach]:
    for path in (
        ("actors", "*", "name"),
        ("kinds", "*", "name"),
        ("holders", "*", "name"),
        ("states", "mission", "*", "name"),
        ("states", "session", "*", "name"),
        ("triggers", "mission", "*", "name"),
        ("triggers", "session", "*", "name"),
        ("events", "*", "name"),
        ("reasons", "*", "code"),
    ):
        for pointer, name in _repeated(_parts(tables, path, "")):
            yield pointer, f"{name} is declared twice"
    guards = ((f"/guards/{i}/name", (guard["machine"], guard["name"])) for i, guard in enumerate(tables["guards"]))
    for pointer, (machine, name) in _repeated(guards):
        yield pointer, f"the guard {name} of a {machine} is declared twice"


def _rule(identifier: str, sentence: str, check: Callable[[Any], Iterator[Breach]]) -> Rule:
    return Rule(id=identifier, sentence=sentence, check=check)


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "mission-envelope": (
            _rule("ENV-1", "An autonomy window ends later than it starts.", _window_ends_after_it_starts),
            _rule("ENV-2", "The deadline is later than the creation.", _deadline_after_creation),
            _rule("ENV-3", "Each extension is given at most once.", _extensions_once),
            _rule("ENV-4", "A mission is not its own parent.", _no_mission_is_its_own_parent),
        ),
        "mission-event": (
            _rule("EVT-1", "The artifact index lists each artifact once.", _artifacts_once),
            _rule("EVT-2", "A final event, and no other, leaves the state it names.", _final_events_and_final_states),
            _rule("EVT-3", "The first entry of a ledger has no previous digest.", _chain_starts_at_one),
        ),
        "lane": (
            _rule("LAN-1", "The heartbeat interval is at most a third of the lease.", _heartbeat_well_inside_the_lease),
            _rule("LAN-5", "Missions run in parallel only in a workspace each.", _parallel_missions_apart),
        ),
        "lanes-file": (
            _rule("LAN-2", "Each lane is configured once.", _lanes_once),
            _rule("LAN-3", "An alias, in any case of letters, stands for one lane.", _aliases_mean_one_lane),
            _rule("LAN-4", "Each flag belongs to one lane.", _flags_once),
        ),
        "tokens": (
            _rule("TOK-1", "Each name is used once.", _names_once),
            _rule("TOK-2", "Each digest is used once.", _digests_once),
        ),
        "errors#/$defs/catalogue": (_rule("ERR-1", "Each code is used once.", _codes_once),),
        "lifecycle": (
            _rule("LIF-1", "Whatever a step or refusal names is declared.", _names_declared),
            _rule("LIF-2", "Each step has an id of its own.", _steps_once),
            _rule("LIF-3", "No step leaves a terminal state.", _terminal_states_stay),
            _rule("LIF-4", "Every refusal is a code of the error catalogue.", _refusals_in_the_catalogue),
            _rule("LIF-5", "Each name is declared once.", _names_declared_once),
        ),
    }
)
"""The rules beyond the schema, by contract."""

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
