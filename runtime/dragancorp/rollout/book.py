"""Evidence outside the registry: the Markdown log that people keep, and the bundle that is checked offline."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dragancorp.jsonio import digest
from dragancorp.lifecycle.ledger_entry import utc_text, verified
from dragancorp.rollout.findings import decide
from dragancorp.rollout.policy import RolloutPolicy
from dragancorp.rollout.statistics import lower_bound, upper_bound
from dragancorp_contracts.models.rollout_policy_v1 import Stage

COLUMNS = ("time", "window", "scope", "reference", "fallback rate", "p95", "decision", "notes")
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
CLOSE = 1e-9  # how far a bound computed again may be off


def markdown_row(entry: Mapping[str, Any]) -> str:
    """One row of the evidence log. Text of people and lanes cannot end the cell or the row, nor become a link."""
    numbers = entry["numbers"]
    rate, p95 = numbers["fallback_rate"], numbers["p95_seconds"]
    low, high = numbers["lower_bound"], numbers["upper_bound"]
    shown_rate = "–"
    if rate is not None:
        counted = f"{numbers['missions_with_fallback']} of {numbers['missions_considered']}"
        shown_rate = f"{rate:.1%} ({counted}; {low:.1%} to {high:.1%})"
    cells = (
        entry["captured_at"],
        entry.get("window_label", entry["stage"]),
        entry.get("scope", ", ".join(entry["window"]["traffic"])),
        entry.get("reference", "–"),
        shown_rate,
        "–" if p95 is None else f"{p95:.1f} s",
        entry["decision"],
        entry.get("notes", "–"),
    )
    return f"| {' | '.join(_cell(str(cell)) for cell in cells)} |"


def markdown_log(vp_id: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """The evidence log of a lane, oldest first."""
    return "\n".join([f"# Evidence of {_cell(vp_id)}", "", HEADER, *map(markdown_row, entries), ""])


def _cell(text: str) -> str:
    one_line = " ".join(text.split())
    for mark in "\\|`*[]<>":
        one_line = one_line.replace(mark, f"\\{mark}")
    return "".join(character if character.isprintable() else "\ufffd" for character in one_line)


def bundle(
    vp_id: str, entries: Sequence[Mapping[str, Any]], policies: Sequence[Mapping[str, Any]], now: datetime
) -> dict[str, Any]:
    """The chain, oldest first, with the policies that decided (`$defs/bundle` of `specs/rollout-evidence`)."""
    return {
        "vp_id": vp_id,
        "exported_at": utc_text(now),
        "evidence": [dict(entry) for entry in entries],
        "policies": [dict(policy) for policy in policies],
    }


def faults(document: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """What is wrong with a bundle: the entry's sequence and what about it. Nothing is taken on trust.

    Each entry's digest is computed again, its place in the chain compared, its bounds computed from its counts, and,
    where the policy that decided is in the bundle, the decision looked up from its findings.
    """
    policies = {digest(dict(policy)): RolloutPolicy(policy) for policy in document["policies"]}
    previous: str | None = None
    for place, entry in enumerate(document["evidence"], 1):
        sequence = entry["sequence"]
        if sequence != place:
            yield sequence, f"it stands in place {place}: an entry is missing, or was moved"
        if entry["vp_id"] != document["vp_id"]:
            yield sequence, f"it is of {entry['vp_id']}, not of {document['vp_id']}"
        if entry.get("previous_digest") != previous:
            yield sequence, "the digest it names is not that of the entry before it"
        if not verified(entry):
            yield sequence, "it was edited: its digest is not that of its content"
        yield from ((sequence, fault) for fault in _wrong_numbers(entry, policies))
        policy = policies.get(entry["policy"]["digest"])
        if policy is not None:
            found = {finding["condition"]: "" for finding in entry["findings"]}
            decision = decide(policy, Stage(entry["stage"]), found)
            if decision != (entry["decision"], entry["action"]):
                yield sequence, f"its findings decide {decision[0]}, and it says {entry['decision']}"
        previous = entry["digest"]


def _wrong_numbers(entry: Mapping[str, Any], policies: Mapping[str, RolloutPolicy]) -> Iterator[str]:
    numbers = entry["numbers"]
    missed, trials = numbers["missions_with_fallback"], numbers["missions_considered"]
    if not trials or missed is None:
        return
    rate = missed / trials
    if numbers["fallback_rate"] is None or abs(numbers["fallback_rate"] - rate) > CLOSE:
        yield f"{missed} of {trials} is not a rate of {numbers['fallback_rate']}"
    policy = policies.get(entry["policy"]["digest"])
    if policy is None:
        return
    confidence = policy.document["confidence"]
    for name, computed in (
        ("upper_bound", upper_bound(missed, trials, confidence)),
        ("lower_bound", lower_bound(missed, trials, confidence)),
    ):
        said = numbers[name]
        if said is None or computed is None or abs(said - computed) > CLOSE:
            yield f"its {name} is {said}, and {missed} of {trials} gives {computed}"
