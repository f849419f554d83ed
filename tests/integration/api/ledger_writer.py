"""A lane's runtime as its writes say it: a ledger that grows as the test wants."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from dragancorp.control_plane import ControlPlane
from dragancorp.lanes.link import Claimed, Lease, Report
from dragancorp.lanes.store_link import StoreLink
from dragancorp_contracts.lifecycle import MissionTrigger, ReasonCode


@dataclass
class LedgerWriter:
    """Holds a lane that nobody serves, and one mission of it."""

    link: StoreLink
    lease: Lease
    claimed: Claimed
    _keys: "itertools.count[int]" = field(default_factory=itertools.count)

    @classmethod
    async def claim(cls, plane: ControlPlane, vp_id: str) -> "LedgerWriter":
        """Take the lane and its first mission."""
        link = StoreLink(plane.store)
        lease = (await link.acquire(vp_id, "writer-owner", "writer")).lease
        (claimed,) = await link.claim(lease)
        return cls(link, lease, claimed)

    async def say(
        self, trigger: MissionTrigger = MissionTrigger.REPORT, *, reason: ReasonCode | None = None, **content: Any
    ) -> None:
        """One report; the end comes with a receipt."""
        receipt = {"outcome": "done"} if trigger is MissionTrigger.COMPLETE else None
        report = Report(trigger=trigger, key=f"k{next(self._keys)}", reason=reason, content=content, receipt=receipt)
        await self.link.report(self.lease, self.claimed, report)

    async def progress(self, *summaries: str) -> None:
        """A progress report each."""
        for summary in summaries:
            await self.say(summary=summary)

    async def complete(self) -> None:
        """The end."""
        await self.say(MissionTrigger.COMPLETE)
