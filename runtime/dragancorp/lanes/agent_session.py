"""The agent's own session, as its events name it: kept with the lane, given back, replaced on record."""

import asyncio
import re
from collections.abc import Awaitable

import structlog

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lanes.keeper import Keeper
from dragancorp.lanes.link import LaneLink

MADE_UP = re.compile(r"(automation|process|tool|callable)-[0-9a-f]{32}")
"""What an executor names its session by when the agent has none of its own."""

log = structlog.get_logger("dragancorp.lanes")


class AgentSession:
    """The session of the lane's agent under one lease; several slots share it.

    `name` is what the agent called it last; None where it has none, or could not go on in it.
    """

    def __init__(self, link: LaneLink, keeper: Keeper, executor_session_id: str, workspace: str) -> None:
        self.name = None if MADE_UP.fullmatch(executor_session_id) else executor_session_id
        self._link = link
        self._keeper = keeper
        self._workspace = workspace
        self._lost = False
        self._one_at_a_time = asyncio.Lock()

    async def named(self, name: str, *, given: str | None) -> None:
        """The agent named its session; `given` is the one it was told to go on in.

        One that goes on under another name is resumed; a new one in place of one that there was is replaced, and the
        lane says that it was degraded for that and recovered. Raises `stale_epoch`.
        """
        async with self._one_at_a_time:
            before, self.name = self.name, name
            if name == before and not self._lost:
                return
            goes_on = given is not None and not self._lost
            replaced = (before is not None or self._lost) and not goes_on
            outcome = "replaced" if replaced else "resumed" if goes_on else "opened"
            log.info("the agent named its session", action="lane.session_named", outcome=outcome)
            self._lost = False
            if not replaced:
                await self._ready(name, outcome)
                return
            self._keeper.healthy = False  # no heartbeat recovers the lane before its new session is on record
            try:
                await _unless_refused(
                    self._link.degrade(self._keeper.lease, "the agent's session could not be resumed")
                )
                await self._ready(name, outcome)
            finally:
                self._keeper.healthy = True
            await _unless_refused(self._link.recover(self._keeper.lease))

    async def _ready(self, name: str, outcome: str) -> None:
        await self._link.ready(self._keeper.lease, executor_session_id=name, outcome=outcome, workspace=self._workspace)

    def lost(self) -> None:
        """The agent could not go on in it: the next mission is given none."""
        self._lost, self.name = self.name is not None, None


async def _unless_refused(step: Awaitable[None]) -> None:
    """A lane that is drained meanwhile is not degraded, and one that a heartbeat recovered first needs it no more."""
    try:
        await step
    except DraganError as error:
        if error.code is not ErrorCode.TRANSITION_REFUSED:
            raise
