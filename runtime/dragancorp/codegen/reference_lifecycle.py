"""The page of the life cycles: states, diagrams, every step, events and reasons."""

from collections.abc import Iterator
from typing import Any

from dragancorp.codegen.markdown import BANNER, fenced, table

MACHINES = ("mission", "session")


def page(tables: dict[str, Any]) -> str:
    """The page of `specs/lifecycle/v1/lifecycle.json`."""
    return "\n".join(_parts(tables))


def _parts(tables: dict[str, Any]) -> Iterator[str]:
    yield f"{BANNER}\n# Life cycles\n"
    yield "What missions and lane sessions go through; the tables decide, everything else follows.\n"
    for machine in MACHINES:
        rows = [row for row in tables["transitions"] if row["machine"] == machine]
        yield f"## {machine.capitalize()}\n"
        yield fenced(_diagram(tables["states"][machine], rows), "mermaid")
        states = [
            (f"`{one['name']}`", "yes" if one["terminal"] else "", one["description"])
            for one in tables["states"][machine]
        ]
        yield "### States\n\n" + table(("state", "terminal", "meaning"), states)
        yield f"### Steps of a {machine}\n\n" + table(
            ("id", "from", "trigger", "who", "when", "event", "reason", "to", "note"), [_step(row) for row in rows]
        )
        triggers = [(f"`{one['name']}`", one["description"]) for one in tables["triggers"][machine]]
        yield f"### Triggers of a {machine}\n\n" + table(("trigger", "meaning"), triggers)
        guards = [
            (f"`{one['name']}`", one["description"], f"`{one['refusal']}`" if one.get("refusal") else "")
            for one in tables["guards"]
            if one["machine"] == machine
        ]
        yield f"### Guards of a {machine}\n\n" + table(("guard", "holds when", "refused with"), guards)
        events = [(f"`{one['name']}`", one["description"]) for one in tables["events"] if one["machine"] == machine]
        yield f"### Events of a {machine}\n\n" + table(("event", "meaning"), events)
    reasons = [
        (f"`{one['code']}`", "yes" if one["fallback"] else "no", one["description"]) for one in tables["reasons"]
    ]
    yield "## Reasons\n\n" + table(("reason", "falls back", "meaning"), reasons)
    actors = [(f"`{one['name']}`", one["description"]) for one in tables["actors"]]
    yield "## Who acts\n\n" + table(("actor", "who that is"), actors)


def _step(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["id"],
        _names(row["from"]) or "–",
        _names(row["triggers"]),
        _names(row["who"]),
        _names([*row["when"], *row["guards"]]),
        f"`{row['event']}`" if row["event"] else "–",
        f"`{row['reason']}`" if row["reason"] else "",
        f"`{row['to']}`" if row["to"] else "same",
        row.get("note", ""),
    )


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _diagram(states: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    """The steps between different states, those of one pair on one arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for source in row["from"] or ["[*]"]:
            target = row["to"] or source
            if source != target:
                arrows.setdefault((source, target), []).append(row["id"])
    lines = ["stateDiagram-v2"]
    lines += [f"    {source} --> {target}: {', '.join(dict.fromkeys(ids))}" for (source, target), ids in arrows.items()]
    lines += [f"    {one['name']} --> [*]" for one in states if one["terminal"]]
    return "\n".join(lines)
