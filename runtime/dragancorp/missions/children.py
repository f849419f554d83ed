"""A child mission may only narrow its parent: tools, budget, deadline, depth."""

from collections.abc import Iterator, Mapping
from typing import Any

from dragancorp.missions.envelopes import moment

Envelope = Mapping[str, Any]
MAX_DEPTH = 5  # missions in a line, the first included


def excess_over_parent(child: Envelope, parent: Envelope, depth: int) -> tuple[str, ...]:
    """Every way in which the child asks for more than its parent has, a sentence each. `depth` is the parent's."""
    return tuple(_excess(child, parent, depth))


def _excess(child: Envelope, parent: Envelope, depth: int) -> Iterator[str]:
    if depth >= MAX_DEPTH:
        yield f"missions nest at most {MAX_DEPTH} deep"
    yield from _tools(child.get("constraints", {}), parent.get("constraints", {}))
    for limit, most in parent.get("budget", {}).items():
        wanted = child.get("budget", {}).get(limit)
        if wanted is None or wanted > most:
            yield f"budget.{limit} must be given and at most {most}"
    deadline = moment(parent.get("deadline_at"))
    if deadline is not None:
        own = moment(child.get("deadline_at"))
        if own is None or own > deadline:
            yield f"deadline_at must be given and no later than {parent['deadline_at']}"


def _tools(child: Mapping[str, Any], parent: Mapping[str, Any]) -> Iterator[str]:
    if "allowed_tools" in parent:
        more = set(child.get("allowed_tools", ["*"])) - set(parent["allowed_tools"])
        if more:
            yield f"constraints.allowed_tools may hold only the parent's; not {sorted(more)}"
    for rule in ("forbidden_tools", "approval_required"):
        fewer = set(parent.get(rule, [])) - set(child.get(rule, []))
        if fewer:
            yield f"constraints.{rule} must hold the parent's too: {sorted(fewer)}"
