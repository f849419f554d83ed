"""The one oracle: a list of invariants, each with a name and a sentence, judged over all evidence at once."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..evidence import Evidence

Found = Iterator[tuple[str, str]]
"""(what it is about, what is wrong) each."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One promise that was broken."""

    invariant: str
    subject: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.subject}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Invariant:
    """One promise: `check` yields every place where it was not kept."""

    name: str
    sentence: str
    check: Callable[[Evidence], Found]


def judge(evidence: Evidence) -> list[Finding]:
    """Everything that is wrong."""
    return [
        Finding(invariant=invariant.name, subject=subject, what=what)
        for invariant in invariants()
        for subject, what in invariant.check(evidence)
    ]


def invariants() -> Iterable[Invariant]:
    """All of them, in the order in which they are reported."""
    from . import callers, leases, ledgers, workspaces

    return (*callers.INVARIANTS, *ledgers.INVARIANTS, *workspaces.INVARIANTS, *leases.INVARIANTS)
