"""Rules of the tables: the life cycles and the error catalogue."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from dragancorp.rules.rule import Breach, Rule, RulesByContract, parts, repeated
from dragancorp_contracts import resources


def _codes_once(catalogue: Any) -> Iterator[Breach]:
    for pointer, code in repeated(parts(catalogue, ("errors", "*", "code"), "")):
        yield pointer, f"the code {code} is used twice"


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
                for pointer, name in parts(row, path, f"/{group}/{index}"):
                    stands_for_itself = name is None or (path == ("set", "cause") and name == "command")
                    if not stands_for_itself and name not in declared[row["machine"]][kind]:
                        yield pointer, f"there is no {kind} {name} of a {row['machine']}"


def _steps_once(tables: Any) -> Iterator[Breach]:
    for pointer, step in repeated(parts(tables, ("transitions", "*", "id"), "")):
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
    named = [*parts(tables, ("guards", "*", "refusal"), ""), *parts(tables, ("refusals", "*", "code"), "")]
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
        for pointer, name in repeated(parts(tables, path, "")):
            yield pointer, f"{name} is declared twice"
    guards = ((f"/guards/{i}/name", (guard["machine"], guard["name"])) for i, guard in enumerate(tables["guards"]))
    for pointer, (machine, name) in repeated(guards):
        yield pointer, f"the guard {name} of a {machine} is declared twice"


RULES: RulesByContract = {
    "errors#/$defs/catalogue": (Rule.of("ERR-1", "Each code is used once.", _codes_once),),
    "lifecycle": (
        Rule.of("LIF-1", "Whatever a step or refusal names is declared.", _names_declared),
        Rule.of("LIF-2", "Each step has an id of its own.", _steps_once),
        Rule.of("LIF-3", "No step leaves a terminal state.", _terminal_states_stay),
        Rule.of("LIF-4", "Every refusal is a code of the error catalogue.", _refusals_in_the_catalogue),
        Rule.of("LIF-5", "Each name is declared once.", _names_declared_once),
    ),
}
