"""Keeping a lane's lease: heartbeats from before set-up to the end, and an end to everything when it is lost."""

import asyncio
import contextlib
from enum import StrEnum

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lanes.link import LaneLink, Lease
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.registry.operations import HeldMission
from dragancorp_contracts.lifecycle import SessionState

# What says for certain that the lease is no longer ours.
LOST = frozenset({ErrorCode.STALE_EPOCH, ErrorCode.LANE_RETIRED, ErrorCode.LANE_UNKNOWN})

# A holder that was held up itself (a suspended machine) still asks once before it gives up, and waits this part of
# the TTL for the answer.
LAST_CHANCE_SHARE = 0.1

log = structlog.get_logger("dragancorp.lanes")


class Unwanted(StrEnum):
    """Why work must stop."""

    CANCEL = "cancel"  # its end was asked for; the holder still says the last word
    GONE = "gone"  # ended, taken over, or the lease is lost: nothing the holder says counts any more


class Keeper:
    """Renews one lease until it is stopped or lost.

    `run` is the heartbeat: it returns when the lease is lost, which is also the case when no renewal has succeeded
    for a whole TTL by this process' monotonic clock, whatever the reason: refused, failed, or never answered.
    `acquired_at` is that clock's reading from before the lease was asked for. `healthy` is what the worker says of
    itself: a degraded lane recovers with the next beat only when it is set.
    """

    def __init__(
        self, link: LaneLink, lease: Lease, policy: LanePolicy, clock: Clock, *, acquired_at: float | None = None
    ) -> None:
        self.lease = lease
        self.healthy = False
        self.lost = asyncio.Event()
        self._link = link
        self._policy = policy
        self._clock = clock
        self._held: dict[str, HeldMission] = {}
        self._held_as_of = float("-inf")
        self._beats = asyncio.Condition()
        self._renewed_at = clock.monotonic() if acquired_at is None else acquired_at

    async def run(self) -> None:
        """Beat until the lease is lost; cancel it to stop."""
        with self._link.watch(self.lease.vp_id) as changes:
            while not self.lost.is_set():
                await self._beat()
                # A change of the lane (a cancel, say) is looked at at once; silence lasts one interval at most, and
                # less when the lease would end before.
                await changes.wait(min(self._policy.heartbeat_interval, max(0.0, self._left)))

    @property
    def _left(self) -> float:
        """Seconds of the lease that are left by our own clock."""
        return self._renewed_at + self._policy.lease_ttl - self._clock.monotonic()

    async def _beat(self) -> None:
        asked_at = self._clock.monotonic()
        last_chance = self._policy.lease_ttl * LAST_CHANCE_SHARE
        try:
            async with asyncio.timeout(max(self._left, last_chance)):
                renewal = await self._link.renew(self.lease)
        except (DraganError, TimeoutError) as error:
            code = error.code if isinstance(error, DraganError) else None
            if code in LOST or self._left <= 0:
                why = code.value if code is not None else "unanswered"
                log.warning("the lease is lost", action="lane.lease_lost", vp_id=self.lease.vp_id, code=why)
                self.lost.set()
                await self._announce({}, asked_at)
            return
        self._renewed_at = asked_at
        await self._announce({mission.mission_id: mission for mission in renewal.held}, asked_at)
        if renewal.session.status is SessionState.DEGRADED and self.healthy:
            with contextlib.suppress(DraganError):
                # Refused: the lane was drained or lost meanwhile. The next beat sees it as it is.
                await self._link.recover(self.lease)

    async def _announce(self, held: dict[str, HeldMission], as_of: float) -> None:
        async with self._beats:
            self._held, self._held_as_of = held, as_of
            self._beats.notify_all()

    async def wait_until_unwanted(self, mission_id: str, attempt: int, since: float) -> Unwanted:
        """Return when the work on this attempt, claimed at `since` (monotonic), must stop, and why."""
        async with self._beats:
            while True:
                if self.lost.is_set():
                    return Unwanted.GONE
                mission = self._held.get(mission_id)
                ours = mission is not None and mission.attempt == attempt
                if mission is not None and ours and mission.cancel_asked:
                    return Unwanted.CANCEL
                # What was heard before the claim could not know of it yet.
                if not ours and self._held_as_of >= since:
                    return Unwanted.GONE
                await self._beats.wait()
