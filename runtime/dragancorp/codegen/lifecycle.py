"""The life cycles: `specs/lifecycle/v1/lifecycle.json` as enums, guards and transitions."""

from typing import Any

from dragancorp.codegen.sources import Sources
from dragancorp.codegen.templating import render

MACHINES = ("mission", "session")


def emitted(sources: Sources) -> dict[str, str]:
    """`lifecycle.py`, where the contract exists; the linter has seen that every row names what the tables have."""
    table = sources.data("lifecycle", "lifecycle.json")
    if table is None:
        return {}
    return {"lifecycle.py": render("lifecycle.py.jinja", table=table, machines=MACHINES)}


def dangling(table: dict[str, Any]) -> list[str]:
    """Every name in a row that no table defines, and every id or name that stands twice."""
    known = {
        "who": _names(table["actors"]),
        "events": _names(table["events"]),
        "reasons": {reason["code"] for reason in table["reasons"]},
    }
    found = _twice("transition", [row["id"] for row in table["transitions"]])
    found += _twice("guard", [f"{guard['machine']}.{guard['name']}" for guard in table["guards"]])
    for trigger in table["triggers"]["mission"]:
        used = {*trigger.get("reasons", ()), *_given(trigger.get("default_reason"))}
        found += [f"{trigger['name']}: there is no reason {name!r}" for name in sorted(used - known["reasons"])]
    for row in table["transitions"]:
        states, triggers = (_names(table[kind][row["machine"]]) for kind in ("states", "triggers"))
        guards = _names([guard for guard in table["guards"] if guard["machine"] == row["machine"]])
        named = [
            ("state", {*row["from"], *_given(row["to"])}, states),
            ("trigger", set(row["triggers"]), triggers),
            ("actor", set(row["who"]), known["who"]),
            ("guard", {*row["when"], *row["guards"]}, guards),
            ("event", _given(row["event"]), known["events"]),
            ("reason", _given(row["reason"]), known["reasons"]),
        ]
        for kind, used, there_are in named:
            found += [f"{row['id']}: there is no {kind} {name!r}" for name in sorted(used - there_are)]
    return found


def _names(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["name"] for entry in entries}


def _given(value: str | None) -> set[str]:
    return set() if value is None else {value}


def _twice(kind: str, values: list[str]) -> list[str]:
    return [f"the {kind} {value!r} stands twice" for value in sorted({one for one in values if values.count(one) > 1})]
