"""Where the lanes' rollouts stand, as the gateway knows it: read beside the turns, so that none waits for a query."""

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError
from dragancorp.lifecycle.rollout import RolloutRow
from dragancorp.registry.port import Store
from dragancorp.registry.rollouts import ListRollouts

PAUSE_SECONDS = 0.5
"""Between two looks: with the time that a look takes, an act anywhere takes effect everywhere within a second."""

log = structlog.get_logger("dragancorp.gateway")


class Standings:
    """What is stored of rollouts; a registry that cannot be read leaves what is known."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rows: dict[str, RolloutRow] = {}

    def of(self, vp_id: str) -> RolloutRow | None:
        """Where one lane's rollout stands; None: nothing was stored, as far as is known."""
        return self._rows.get(vp_id)

    async def refresh(self) -> None:
        """Look once, at once: something was changed here."""
        try:
            self._rows = dict(await self._store.read(ListRollouts()))
        except DraganError as error:
            log.warning("rollouts cannot be read", action="rollout.read_failed", code=error.code.value)

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await self._clock.sleep(PAUSE_SECONDS)
            try:
                await self.refresh()
            except Exception:
                # A gateway that goes by an old stage for ever must not be silent, and a defect must not end the loop.
                log.exception("rollouts cannot be read", action="rollout.read_failed")
