"""Names that are stored are compatibility data: databases, ledgers and other people's code hold them.

`persisted_names.txt` is the full list. A new name is added there by hand, when it is added to a contract. A name is
never taken out: what was stored once must be readable for ever.
"""

from collections.abc import Iterator
from pathlib import Path

from dragancorp_contracts import resources

PINNED = Path(__file__).with_name("persisted_names.txt")


def _present() -> Iterator[str]:
    tables = resources.read_document("lifecycle", file="lifecycle.json")
    for machine in ("mission", "session"):
        yield from (f"{machine}-state {state['name']}" for state in tables["states"][machine])
    yield from (f"event {event['name']}" for event in tables["events"])
    yield from (f"reason {reason['code']}" for reason in tables["reasons"])
    yield from (f"step {step['id']}" for step in tables["transitions"])
    for group in ("actors", "kinds", "holders"):
        yield from (f"{group[:-1]} {row['name']}" for row in tables[group])
    yield from (f"error {entry['code']}" for entry in resources.read_document("errors", file="errors.json")["errors"])
    yield from _of_rollouts()
    protocol = resources.read_document("lane-process", file="lane-process.json")
    yield from (f"lane-variable {one['name']}" for one in protocol["environment"])
    outcomes = resources.read_document("conformance-report")["properties"]["results"]["items"]["properties"]["outcome"]
    yield from (f"requirement-outcome {one}" for one in outcomes["enum"])


def _of_rollouts() -> Iterator[str]:
    shapes = resources.read_document("rollout-policy")["$defs"]
    for kind in ("stage", "decision", "action"):
        yield from (f"rollout-{kind} {one}" for one in shapes[kind]["enum"])
    override = resources.read_document("rollout-evidence")["properties"]["override"]
    yield from (f"rollout-override {one}" for one in override["enum"])
    policy = resources.read_document("rollout-policy", file="rollout-policy.json")
    yield from (f"rollout-condition {one['name']}" for one in policy["conditions"])


def _pinned() -> list[str]:
    lines = PINNED.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_no_stored_name_is_lost_and_none_appears_unnoticed() -> None:
    assert sorted(_present()) == _pinned()


def test_the_list_is_sorted_and_says_each_name_once() -> None:
    assert _pinned() == sorted(set(_pinned()))
