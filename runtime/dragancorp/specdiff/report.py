"""What the comparison says, for people and for programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from dragancorp.specdiff.change import Change
from dragancorp.specdiff.snapshot import Snapshot
from dragancorp.specdiff.waivers import Waiver

__all__ = ["Report"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Every change between two snapshots, and whether it may go into the versions there are."""

    old: Snapshot
    new: Snapshot
    changes: tuple[Change, ...]
    unused: tuple[Waiver, ...] = ()
    """Waivers that no breaking change needs."""

    @property
    def refused(self) -> tuple[Change, ...]:
        """The breaking changes that nobody has allowed."""
        return tuple(one for one in self.changes if not one.safe and not one.waived)

    def as_json(self) -> dict[str, Any]:
        """The report as one document."""
        return {
            "old": self.old.label,
            "new": self.new.label,
            "refused": len(self.refused),
            "breaking": sum(not one.safe for one in self.changes),
            "safe": sum(one.safe for one in self.changes),
            "changes": [one.as_json() for one in self.changes],
            "unused_waivers": [str(one) for one in self.unused],
        }

    def lines(self) -> Iterator[str]:
        """The report as text: the changes by contract, each with its rule."""
        for contract, changes in groupby(self.changes, key=lambda one: one.contract):
            yield contract
            for one in changes:
                yield f"  {_said(one)}"
                yield f"      {one.rule.id} {one.rule.title}: {one.what}"
                if not one.certain:
                    yield "      the judge could not decide; the stricter class stands"
                if one.waived:
                    yield f"      allowed: {one.waived}"

    def advice(self) -> list[str]:
        """What to do, a sentence a line; empty when nothing is refused."""
        contracts = sorted({one.contract for one in self.refused})
        return [f"{contract}: {_instead(contract, self.new)}" for contract in contracts]


def _said(change: Change) -> str:
    place = change.place.partition("#")[2] or "(the whole)"
    if change.safe:
        return f"safe      {place}"
    return f"breaking  {place}  for {', '.join(sorted(change.breaks))}"


def _instead(contract: str, new: Snapshot) -> str:
    name, _, version = contract.rpartition("/")
    if not (name and version.removeprefix("v").isdigit()):
        return "keep it as it was, or record a waiver with its reason and name the file with --allow"
    if contract not in new.contracts():
        return f"put {contract} back; a version that was released stays"
    number = int(version.removeprefix("v"))
    while f"{name}/v{number}" in new.contracts():
        number += 1
    return (
        f"put {contract} back as it was and make the change in a new folder {name}/v{number} beside it, "
        "or record a waiver with its reason and name the file with --allow"
    )
