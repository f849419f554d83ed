"""The sessions of one gateway: opened, found again, looked after, and closed with it.

They live in the plane's memory: what must outlast it is the mission, and a turn that is asked again after a restart
under its own id finds the mission that the first one made.
"""

import asyncio
from typing import Any

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.gateway.session import Answer, GatewaySession
from dragancorp.registry.identifiers import new_id

AT_MOST = 1_000
TICK_SECONDS = 5.0
LINGER_SECONDS = 60.0  # a turn goes on this long with nobody listening
IDLE_SECONDS = 3_600.0  # then a session that nobody uses is forgotten

log = structlog.get_logger("dragancorp.gateway")


class GatewaySessions:
    """`answer` makes a turn's events; None: there is no primary agent, and no session opens."""

    def __init__(self, clock: Clock, answer: Answer | None) -> None:
        self._clock = clock
        self._answer = answer
        self._sessions: dict[str, GatewaySession] = {}
        self._looking: asyncio.Task[None] | None = None

    def open(self, owner: str, session_id: str | None = None) -> GatewaySession:
        """A new session, or the one of that id as it is.

        Errors: `primary_missing`; `session_unknown` for one of somebody else; `session_busy` when there are too many.
        """
        if self._answer is None:
            raise DraganError(ErrorCode.PRIMARY_MISSING, "nobody could answer a turn")
        if session_id is not None and session_id in self._sessions:
            return self.find(owner, session_id)
        if len(self._sessions) >= AT_MOST:
            self._forget_one()
        session = GatewaySession(session_id or new_id("gs"), owner, self._clock, self._answer)
        self._sessions[session.session_id] = session
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_after(), name="gateway sessions")
        return session

    def find(self, owner: str | None, session_id: str) -> GatewaySession:
        """The session; `owner` None finds anybody's. Raises `session_unknown`, also for somebody else's."""
        found = self._sessions.get(session_id)
        if found is None or owner not in (None, found.owner):
            raise DraganError(ErrorCode.SESSION_UNKNOWN, f"there is no session {session_id!r}")
        return found

    async def close(self) -> None:
        """Cancel every turn and forget every session."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None
        await asyncio.gather(*(session.cancel() for session in self._sessions.values()))
        self._sessions.clear()

    async def tick(self) -> None:
        """Cancel turns that nobody has listened to for a while, and forget sessions that nobody uses."""
        now = self._clock.monotonic()
        for session in list(self._sessions.values()):
            left = now - session.left_at if session.listeners == 0 else 0.0
            if session.active_runs and left > LINGER_SECONDS:
                log.info("nobody listens", action="session.left", session_id=session.session_id)
                await session.cancel()
            elif not session.active_runs and left > IDLE_SECONDS:
                del self._sessions[session.session_id]

    async def _look_after(self) -> None:
        """Tick until cancelled; what one session raises is logged, and the others are looked after."""
        while True:
            await self._clock.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except Exception:
                # The next tick looks at the same sessions again.
                log.exception("a look at the sessions failed", action="session.tick_failed")

    def _forget_one(self) -> None:
        idle = [one for one in self._sessions.values() if not one.active_runs and not one.listeners]
        if not idle:
            raise DraganError(ErrorCode.SESSION_BUSY, f"{AT_MOST} sessions are in use")
        oldest = min(idle, key=lambda one: one.left_at)
        del self._sessions[oldest.session_id]

    def __iter__(self) -> Any:
        return iter(self._sessions.values())
