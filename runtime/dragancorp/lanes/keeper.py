"""Keeping a lane's lease: heartbeats from before set-up to the end, and an end to everything when it is lost."""

import asyncio
import contextlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lanes.link import Claimed, Grant, Holding, LaneLink, Report
from dragancorp.registry.operations import HeldMission
from dragancorp_contracts.lifecycle import MissionState, MissionTrigger, SessionState

# What says for certain that the lease is no longer ours.
LOST = frozenset({ErrorCode.STALE_EPOCH, ErrorCode.LANE_RETIRED, ErrorCode.LANE_UNKNOWN})

# A holder that was held up itself (a suspended machine) still asks once before it gives up, and waits this part of
# the TTL for the answer.
LAST_CHANCE_SHARE = 0.1
# Between beats that found nobody: a plane that restarts is heard of soon, whatever the interval.
RETRY_PAUSE_SECONDS = 0.25

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
    itself: a degraded lane recovers with the next beat only when it is set. `policy` is the lane's as last heard.
    """

    def __init__(self, link: LaneLink, grant: Grant, clock: Clock, *, acquired_at: float | None = None) -> None:
        self.lease = grant.lease
        self.policy = grant.policy
        self.healthy = False
        self.lost = asyncio.Event()
        self._link = link
        self._clock = clock
        self._held: dict[str, HeldMission] = {}
        self._held_as_of = float("-inf")
        self._in_hand: set[tuple[str, int]] = set()
        self._strays: dict[tuple[str, int], float] = {}
        self._mark: str | None = None
        self._seen: str | None = None
        self._beats = asyncio.Condition()
        self._renewed_at = clock.monotonic() if acquired_at is None else acquired_at

    async def run(self) -> None:
        """Beat until the lease is lost; cancel it to stop."""
        while not self.lost.is_set():
            await self._beat()

    @property
    def _left(self) -> float:
        """Seconds of the lease that are left by our own clock."""
        return self._renewed_at + self.policy.lease_ttl - self._clock.monotonic()

    async def _beat(self) -> None:
        """One renewal. It stays open for an interval, so that a change of the lane (a cancel, say) is heard at once."""
        asked_at = self._clock.monotonic()
        last_chance = self.policy.lease_ttl * LAST_CHANCE_SHARE
        wait = min(self.policy.heartbeat_interval, max(0.0, self._left))
        try:
            async with asyncio.timeout(max(self._left, last_chance)):
                holding = await self._link.renew(self.lease, wait=wait, seen=self._seen)
        except (DraganError, TimeoutError) as error:
            self._mark = self._seen = None  # whatever was missed: the next answer must come at once
            code = error.code if isinstance(error, DraganError) else None
            if code in LOST or self._left <= 0:
                why = code.value if code is not None else "unanswered"
                log.warning("the lease is lost", action="lane.lease_lost", vp_id=self.lease.vp_id, code=why)
                self.lost.set()
                await self._announce({}, asked_at)
                return
            await self._clock.sleep(min(RETRY_PAUSE_SECONDS, self.policy.heartbeat_interval, max(0.0, self._left)))
            return
        self._renewed_at = asked_at
        # What is new is asked for once more, at once: the answer then is about a moment that we know to be late enough
        # for every claim of ours (see `wait_until_unwanted`).
        self._seen = holding.mark if holding.mark == self._mark else None
        self._mark = holding.mark
        self.policy = holding.policy
        await self._announce({mission.mission_id: mission for mission in holding.held}, asked_at)
        if holding.status is SessionState.DEGRADED and self.healthy:
            with contextlib.suppress(DraganError):
                # Refused: the lane was drained or lost meanwhile. The next beat sees it as it is.
                await self._link.recover(self.lease)
        await self._hand_back_strays(holding)

    async def _announce(self, held: dict[str, HeldMission], as_of: float) -> None:
        async with self._beats:
            self._held, self._held_as_of = held, as_of
            self._beats.notify_all()

    # -- missions that the lane holds and nobody here works on

    def take(self, claimed: Claimed) -> None:
        """Somebody works on this claim now."""
        self._in_hand.add((claimed.mission_id, claimed.attempt))

    def let_go(self, claimed: Claimed) -> None:
        """Nobody does any more."""
        self._in_hand.discard((claimed.mission_id, claimed.attempt))

    async def _hand_back_strays(self, holding: Holding) -> None:
        """A claim whose answer never came would hold its mission for hours: after an interval it is handed back.

        If the answer comes after all, the first report finds the attempt out of date and the work stops.
        """
        now = self._clock.monotonic()
        unknown = {
            (one.mission_id, one.attempt): one
            for one in holding.held
            if (one.mission_id, one.attempt) not in self._in_hand
        }
        self._strays = {key: self._strays.get(key, now) for key in unknown}
        for key, since in self._strays.items():
            if now - since >= self.policy.heartbeat_interval:
                await self._hand_back(unknown[key])

    async def hand_back_all(self) -> None:
        """Hand back whatever the lane still holds, when everybody has left. Raises what the link raises."""
        for one in (await self._link.renew(self.lease)).held:
            await self._hand_back(one)

    async def _hand_back(self, mission: HeldMission) -> None:
        log.warning("nobody works on this mission: handed back", action="mission.stray", mission_id=mission.mission_id)
        claimed = Claimed(
            mission_id=mission.mission_id,
            vp_id=self.lease.vp_id,
            attempt=mission.attempt,
            lease_epoch=self.lease.epoch,
            resume=False,
            usage={},
            envelope={},
        )
        report = Report(
            trigger=MissionTrigger.HAND_BACK,
            key=f"{mission.attempt}-stray",
            content={"summary": "the answer to its claim was lost"},
        )
        with contextlib.suppress(DraganError):
            # Refused: it ended or went to another meanwhile. Not reached: it is still there at the next beat.
            await self._link.report(self.lease, claimed, report)

    async def wait_for_decision(self, mission_id: str, attempt: int, after: int) -> Mapping[str, Any]:
        """The decision that lets this attempt go on, once there is one with a sequence above `after`."""
        async with self._beats:
            while True:
                mission = self._held.get(mission_id)
                decision = mission.decision if mission is not None and mission.attempt == attempt else None
                if decision is not None and decision["sequence"] > after:
                    return decision
                await self._beats.wait()

    async def wait_while_blocked(self, mission_id: str, attempt: int) -> None:
        """Return when this attempt is not blocked any more, its end is asked for, or it is no longer held."""
        async with self._beats:
            while not self.lost.is_set():
                mission = self._held.get(mission_id)
                if mission is None or mission.attempt != attempt or mission.cancel_asked:
                    return
                if mission.state != MissionState.BLOCKED.value:
                    return
                await self._beats.wait()

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
