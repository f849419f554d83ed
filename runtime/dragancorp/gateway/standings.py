"""Where the lanes' rollouts stand, as the gateway knows it: read anew when what it knows is a second old."""

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError
from dragancorp.lifecycle.rollout import RolloutRow
from dragancorp.registry.port import Store
from dragancorp.registry.rollouts import ListRollouts

AT_MOST_SECONDS = 1.0

log = structlog.get_logger("dragancorp.gateway")


class Standings:
    """What is stored of rollouts, cached for at most a second, so that an act anywhere takes effect everywhere."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rows: dict[str, RolloutRow] = {}
        self._read_at: float | None = None

    def of(self, vp_id: str) -> RolloutRow | None:
        """Where one lane's rollout stands; None: nothing was stored, as far as is known."""
        return self._rows.get(vp_id)

    def forget(self) -> None:
        """Something was changed here: the next turn reads anew."""
        self._read_at = None

    async def fresh(self) -> None:
        """Read, unless that was done within the last second. A registry that cannot be read leaves what is known."""
        now = self._clock.monotonic()
        if self._read_at is not None and now - self._read_at < AT_MOST_SECONDS:
            return
        try:
            rows = await self._store.read(ListRollouts())
        except DraganError as error:
            log.warning("rollouts cannot be read", action="rollout.read_failed", code=error.code.value)
            return
        self._rows, self._read_at = dict(rows), now
