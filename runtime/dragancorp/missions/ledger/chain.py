"""The chain of a ledger: numbered from 1 without gaps, each entry naming the digest of the one before."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dragancorp.lifecycle.ledger_entry import verified
from dragancorp.missions.ledger.findings import Finding, Rule, shown

Event = Mapping[str, Any]
CHAIN_MEMBERS = frozenset({"sequence", "previous_digest", "digest"})


def bare(event: Event) -> dict[str, Any]:
    """What an entry says, without its place in the chain."""
    return {name: value for name, value in event.items() if name not in CHAIN_MEMBERS}


def chain_findings(subject: str, identity: str, events: Sequence[Event]) -> Iterator[Finding]:
    """Gaps, entries whose digest is not theirs, and links that do not hold. Pure."""

    def finding(rule: Rule, event: Event, detail: str) -> Finding:
        return Finding(subject=subject, id=identity, rule=rule, sequence=event.get("sequence"), detail=detail)

    expected, before = 1, None
    for event in events:
        sequence = event.get("sequence")
        if sequence != expected:
            yield finding(Rule.SEQUENCE_GAP, event, f"entry {expected} is missing; the next one has {sequence!r}")
        elif event.get("previous_digest") != before:
            yield finding(Rule.CHAIN_BROKEN, event, "it does not name the digest of the entry before it")
        if not verified(event):
            yield finding(Rule.DIGEST_WRONG, event, "its digest is not that of its content: it was changed")
        expected = sequence + 1 if isinstance(sequence, int) else expected + 1
        before = event.get("digest")


def differing(decided: Sequence[Event], recorded: Sequence[Event]) -> str | None:
    """The first member in which what was decided is not what was recorded; None: it says the same."""
    if len(decided) != len(recorded):
        return f"it would be {len(decided)} entries, not {len(recorded)}"
    for one, other in zip(map(bare, decided), map(bare, recorded), strict=True):
        for name in sorted({*one, *other}):
            if one.get(name) != other.get(name):
                return f"{name} would be {shown(one.get(name))}, not {shown(other.get(name))}"
    return None
