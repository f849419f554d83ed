"""Somebody who looks at the registry from outside all the time, and notes what is new with the time of seeing it."""

import threading
import time

from sqlalchemy import Engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from .journal import Ended, Journal, LeaseSeen

POLL_SECONDS = 0.04
MISSIONS_EVERY = 6  # polls
NOTED_LAG_SECONDS = 0.05
LEASES = text("SELECT vp_id, lease_owner, lease_epoch, beat FROM vp_sessions")
ENDED = text("SELECT mission_id, state, last_sequence, last_digest FROM vp_missions WHERE finished_at IS NOT NULL")


class Observer:
    """A thread that runs until `stop`. A database that cannot be read just now is looked at again."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self._ended: dict[str, Ended] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    @property
    def ended(self) -> int:
        """How many missions were seen to have ended."""
        return len(self._ended)

    def has_ended(self, mission_id: str) -> bool:
        """Whether this one was."""
        return mission_id in self._ended

    def _run(self) -> None:
        polls, looked_at = 0, time.monotonic()
        connection: Connection | None = None
        woken_at = time.monotonic()
        while not self._stop.wait(POLL_SECONDS):
            late = time.monotonic() - woken_at - POLL_SECONDS
            if late > NOTED_LAG_SECONDS:
                self._journal.lags.append((time.monotonic(), late))
            try:
                connection = connection or self._engine.connect()
                looked_at = self._look(connection, looked_at, with_missions=polls % MISSIONS_EVERY == 0)
            except DBAPIError:
                if connection is not None:
                    connection.invalidate()
                    connection.close()
                connection = None
            polls += 1
            woken_at = time.monotonic()
        if connection is not None:
            connection.close()
        self._engine.dispose()

    def _look(self, connection: Connection, looked_at: float, *, with_missions: bool) -> float:
        """One look at everything; answers when it began."""
        began_at = time.monotonic()
        with connection.begin():
            for vp_id, owner, epoch, beat in connection.execute(LEASES).all():
                seen = self._journal.leases.setdefault(vp_id, [])
                if not seen or (seen[-1].owner, seen[-1].epoch, seen[-1].beat) != (owner, epoch, beat):
                    at = time.monotonic()
                    seen.append(LeaseSeen(before=looked_at, at=at, vp_id=vp_id, owner=owner, epoch=epoch, beat=beat))
            if with_missions:
                for mission_id, state, sequence, digest in connection.execute(ENDED).all():
                    now = (state, sequence, digest)
                    known = self._ended.get(mission_id)
                    if known is None or (known.state, known.last_sequence, known.last_digest) != now:
                        ended = Ended(
                            at=time.monotonic(),
                            mission_id=mission_id,
                            state=state,
                            last_sequence=sequence,
                            last_digest=digest,
                        )
                        self._ended[mission_id] = ended
                        self._journal.ended.append(ended)
        return began_at
