"""Answers that never reach the worker: asked again they are the same, and what nobody asks for again is not kept."""

from collections.abc import Mapping
from typing import Any

import pytest

from dragancorp.errors import DraganError
from dragancorp.lanes.link import Claimed, Grant, LaneLink, Lease, Report
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import MissionState

from .house import House, Scripted, both_links

pytestmark = pytest.mark.anyio


class DeafLink:
    """A link that does what it is asked, but loses each kind of answer once (`again`: the worker notices)."""

    def __init__(self, link: LaneLink, *, again: bool) -> None:
        self._link = link
        self._again = again
        self.lost: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    def _lose(self, what: str) -> bool:
        first = what not in self.lost
        if first:
            self.lost.append(what)
        if first and self._again:
            raise DraganError(ErrorCode.SERVER_UNREACHABLE, f"the answer to {what} was lost")
        return first

    async def acquire(self, vp_id: str, owner: str, vp_runtime_id: str) -> Grant:
        grant = await self._link.acquire(vp_id, owner, vp_runtime_id)
        if self._again:
            self._lose("acquire")
        return grant

    async def claim(
        self, lease: Lease, limit: int = 1, *, key: str | None = None, wait: float = 0.0
    ) -> tuple[Claimed, ...]:
        found = await self._link.claim(lease, limit, key=key, wait=wait)
        return () if found and self._lose("claim") else found

    async def report_and_claim(self, lease: Lease, claimed: Claimed, report: Report) -> tuple[Claimed, ...]:
        following = await self._link.report_and_claim(lease, claimed, report)
        return () if following and self._lose("report") else following

    async def report(self, lease: Lease, claimed: Claimed, report: Report) -> None:
        await self._link.report(lease, claimed, report)


@both_links
async def test_a_worker_that_asks_again_gets_the_same_lease_the_same_missions_and_one_end(house: House) -> None:
    link = DeafLink(house.link, again=True)
    missions = [await house.dispatch_to_nobody(), await house.dispatch_to_nobody()]
    await house.serve(Scripted(), link=link)
    for mission_id in missions:
        row = await house.ended(mission_id)
        assert (row.state, row.attempt) == (MissionState.COMPLETED, 1)
        assert (await house.event_types(mission_id)).count("completed") == 1
    assert link.lost == ["acquire", "claim", "report"]
    assert (await house.session()).lease_epoch == 1


@both_links
async def test_a_mission_that_was_claimed_and_never_heard_of_is_handed_back_and_run(house: House) -> None:
    link = DeafLink(house.link, again=False)
    missions = [await house.dispatch_to_nobody(), await house.dispatch_to_nobody()]
    await house.serve(Scripted(), link=link, lease_ttl=1.5)
    ends: dict[str, Mapping[str, Any]] = {}
    for mission_id in missions:
        row = await house.ended(mission_id, seconds=20)
        ends[mission_id] = {"state": row.state, "failures": row.failures, "attempt": row.attempt}
    lost_once = {"state": MissionState.COMPLETED, "failures": 0, "attempt": 2}
    assert list(ends.values()) == [lost_once, lost_once]
