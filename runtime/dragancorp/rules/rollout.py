"""Rules of a rollout: the policy that decides, and the evidence it is decided on."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from dragancorp.rules.rule import Breach, Rule, RulesByContract, moment, parts, repeated
from dragancorp_contracts import resources

ALWAYS = "otherwise"
"""The condition that always holds; the last row of every stage."""


@cache
def _stages() -> tuple[str, ...]:
    return tuple(resources.read_document("rollout-policy")["$defs"]["stage"]["enum"])


def _edges_in_order(policy: Any) -> Iterator[Breach]:
    before = -1
    for index, edge in enumerate(policy["edges"]):
        start, end = (_stages().index(edge[side]) for side in ("from", "to"))
        if end != start + 1:
            yield f"/edges/{index}/to", f"{edge['to']} is not the stage after {edge['from']}"
        elif start <= before:
            yield f"/edges/{index}/from", f"the promotion from {edge['from']} stands after a later one"
        before = max(before, start)


def _watch_below_critical(policy: Any) -> Iterator[Breach]:
    watched = [(f"/edges/{index}", edge) for index, edge in enumerate(policy["edges"])]
    for pointer, values in [*watched, ("/sustained", policy["sustained"])]:
        for low, high in (("p95_watch_seconds", "p95_critical_seconds"), ("rate_watch", "rate_critical")):
            if low in values and values[low] >= values[high]:
                yield f"{pointer}/{low}", f"{values[low]} is not below {high}, {values[high]}"


def _gate_can_open(policy: Any) -> Iterator[Breach]:
    for index, edge in enumerate(policy["edges"]):
        # The exact upper bound after n missions without one fallback.
        best = 1 - (1 - policy["confidence"]) ** (1 / edge["min_missions"])
        if best >= edge["max_bound"]:
            missions = edge["min_missions"]
            yield f"/edges/{index}/min_missions", f"after {missions} missions the bound is {best:.4f} at best"


def _conditions_once(policy: Any) -> Iterator[Breach]:
    for pointer, name in repeated(parts(policy, ("conditions", "*", "name"))):
        yield pointer, f"the condition {name} is declared twice"


def _conditions_declared(policy: Any) -> Iterator[Breach]:
    declared = {condition["name"] for condition in policy["conditions"]}
    for pointer, name in parts(policy, ("decisions", "*", "condition")):
        if name not in declared:
            yield pointer, f"the condition {name} is not declared"


@cache
def _meanings() -> frozenset[str]:
    standard = resources.read_document("rollout-policy", file="rollout-policy.json")
    return frozenset(condition["name"] for condition in standard["conditions"])


def _conditions_known(policy: Any) -> Iterator[Breach]:
    for pointer, name in parts(policy, ("conditions", "*", "name")):
        if name not in _meanings():
            yield pointer, f"nothing says when {name} holds; there are {', '.join(sorted(_meanings()))}"


def _every_stage_decided(policy: Any) -> Iterator[Breach]:
    for stage in _stages():
        rows = [(index, row["condition"]) for index, row in enumerate(policy["decisions"]) if row["stage"] == stage]
        if not rows or rows[-1][1] != ALWAYS:
            yield "/decisions", f"{stage} has no last row for `{ALWAYS}`"
        for index, condition in rows[:-1]:
            if condition == ALWAYS:
                yield f"/decisions/{index}/condition", f"no row of {stage} after this one is ever reached"


def _chain_starts_at_one(evidence: Any) -> Iterator[Breach]:
    if (evidence["sequence"] == 1) is ("previous_digest" in evidence):
        said = "the first entry has none before it" if evidence["sequence"] == 1 else "the entry before is not named"
        yield "/previous_digest", said


def _window_in_order(evidence: Any) -> Iterator[Breach]:
    window = evidence["window"]
    if moment(window["to"]) < moment(window["from"]):
        yield "/window/to", f"{window['to']} is earlier than from, {window['from']}"


def _part_of_the_whole(evidence: Any) -> Iterator[Breach]:
    numbers = evidence["numbers"]
    hits, all_ = numbers["missions_with_fallback"], numbers["missions_considered"]
    if hits is not None and hits > (all_ or 0):
        yield "/numbers/missions_with_fallback", f"{hits} of {all_ or 0} missions is more than all"


def _flags_let_the_stage_act(evidence: Any) -> Iterator[Breach]:
    flags, stage = evidence["effective_flags"], evidence["stage"]
    if stage == "off" or evidence["override"] != "none" or evidence["decision"].startswith("BLOCKED_"):
        return
    closed = not flags["enabled"] or flags["disabled"] or flags["force_fallback"]
    if closed or (flags["shadow_mode"] and stage != "shadow"):
        yield "/decision", f"the flags do not let {stage} act, so the decision is BLOCKED_EXECUTION_PIPELINE"


RULES: RulesByContract = {
    "rollout-policy": (
        Rule.of("ROL-1", "Promotions lead to the next stage, in the order of the stages.", _edges_in_order),
        Rule.of("ROL-2", "A value to watch lies below the critical one.", _watch_below_critical),
        Rule.of("ROL-3", "The least number of missions can reach the bound.", _gate_can_open),
        Rule.of("ROL-4", "Each condition is declared once.", _conditions_once),
        Rule.of("ROL-5", "Every condition of the table is declared.", _conditions_declared),
        Rule.of("ROL-6", "The last row of each stage, and no other, is `otherwise`.", _every_stage_decided),
        Rule.of("ROL-7", "Every condition is one that the standard policy explains.", _conditions_known),
    ),
    "rollout-evidence": (
        Rule.of("EVI-1", "The first entry of a lane, and no other, has no previous digest.", _chain_starts_at_one),
        Rule.of("EVI-2", "A window ends no earlier than it begins.", _window_in_order),
        Rule.of("EVI-3", "No more missions had a fallback than were looked at.", _part_of_the_whole),
        Rule.of("EVI-4", "Flags that do not let the stage act block the pipeline.", _flags_let_the_stage_act),
    ),
}
