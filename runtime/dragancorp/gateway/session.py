"""One session of a gateway: turns in, one at a time; numbered frames out, kept for who lost the connection.

A turn runs in a task of its own, whoever listens. It ends when it is answered, fails, is refused or cancelled; one that
does not die when it is told to is left behind, and nothing it says later is heard.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.gateway.shadow import text_of
from dragancorp.gateway.turns import DelegationRefusedError, Turn, closing, error_text
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.registry.identifiers import new_id
from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent

KEPT_FRAMES = 5_000
KEPT_TURNS = 1_000  # by their ids, to know one that comes again
SAME_TEXT_SECONDS = 5.0
DIES_WITHIN_SECONDS = 30.0
ASKED_AGAIN_SECONDS = 1.0

Frame = dict[str, Any]
Answer = Callable[[Turn], AsyncIterator[Any]]

log = structlog.get_logger("dragancorp.gateway")


@dataclass(eq=False)
class Run:
    """A turn under way."""

    turn_id: str
    text: str
    task: "asyncio.Task[None] | None" = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class GatewaySession:
    """See the module. `owner` is the name of the token that opened it."""

    def __init__(self, session_id: str, owner: str, clock: Clock, answer: Answer) -> None:
        self.session_id = session_id
        self.owner = owner
        self.created_at = clock.wall()
        self.last_cursor = 0
        self.listeners = 0
        self.left_at = clock.monotonic()  # when the last listener left
        self._clock = clock
        self._answer = answer
        self._frames: deque[Frame] = deque(maxlen=KEPT_FRAMES)
        self._news = asyncio.Event()
        self._run: Run | None = None
        self._begins: OrderedDict[str, int] = OrderedDict()  # turn_id -> the cursor its frames come after
        self._newest: tuple[str, str, float] | None = None  # text, turn_id and moment of the newest turn
        self._abandoned: set[asyncio.Task[None]] = set()

    @property
    def active_runs(self) -> int:
        """Turns that run now: at most one."""
        return 0 if self._run is None else 1

    def as_json(self) -> dict[str, Any]:
        """As `GatewaySession` of the ops API has it."""
        document: dict[str, Any] = {
            "session_id": self.session_id,
            "active_runs": self.active_runs,
            "last_cursor": self.last_cursor,
            "created_at": utc_text(self.created_at),
        }
        return document if self._run is None else {**document, "turn_id": self._run.turn_id}

    def take(self, turn: Turn) -> Frame | None:
        """Begin a turn; a `duplicate` frame, for the asker alone, where it was taken before. Raises `session_busy`."""
        known = self._known(turn)
        if known is not None:
            return self._frame("duplicate", known, cursor=max(1, self._begins[known]))
        if self._run is not None:
            raise DraganError(
                ErrorCode.SESSION_BUSY,
                f"the turn {self._run.turn_id!r} is being answered",
                facts={"turn_id": self._run.turn_id},
            )
        turn_id = turn.turn_id or new_id("t")
        self._begins[turn_id] = self.last_cursor
        while len(self._begins) > KEPT_TURNS:
            self._begins.popitem(last=False)
        self._newest = (turn.text, turn_id, self._clock.monotonic())
        run = self._run = Run(turn_id, turn.text)
        taken = Turn(
            text=turn.text, session_id=self.session_id, turn_id=turn_id, source=turn.source, mission=turn.mission
        )
        run.task = asyncio.create_task(self._answering(run, taken), name=f"turn {turn_id}")
        return None

    def _known(self, turn: Turn) -> str | None:
        if turn.turn_id is not None:
            return turn.turn_id if turn.turn_id in self._begins else None
        if self._newest is None:
            return None
        text, turn_id, at = self._newest
        return turn_id if text == turn.text and self._clock.monotonic() - at < SAME_TEXT_SECONDS else None

    async def listen(self, after: int = 0) -> AsyncIterator[Frame]:
        """Every frame after a cursor, as they come; a `gap` first where some of them are not kept any more."""
        self.listeners += 1
        try:
            while True:
                news = self._news
                oldest = self.last_cursor - len(self._frames) + 1
                if after + 1 < oldest:
                    yield self._frame("gap", None, cursor=oldest - 1)
                    after = oldest - 1
                    continue
                for frame in list(islice(self._frames, after + 1 - oldest, None)):
                    after = frame["cursor"]
                    yield frame
                if after >= self.last_cursor:
                    await news.wait()
        finally:
            self.listeners -= 1
            self.left_at = self._clock.monotonic()

    async def cancel(self, patience: float = DIES_WITHIN_SECONDS) -> None:
        """End the turn under way, with its mission and its processes; returns when none is left, or is left behind."""
        run = self._run
        if run is None or run.task is None:
            return
        give_up_at = self._clock.monotonic() + patience
        while not run.task.done() and (left := give_up_at - self._clock.monotonic()) > 0:
            run.task.cancel()
            await asyncio.wait({run.task}, timeout=min(ASKED_AGAIN_SECONDS, left))
        if not run.task.done():
            log.error("a turn does not die; it is left behind", action="session.turn_left", turn_id=run.turn_id)
            self._abandoned.add(run.task)
            run.task.add_done_callback(self._abandoned.discard)
        self._end(run, "cancelled")

    async def _answering(self, run: Run, turn: Turn) -> None:
        outcome, problem = "failed", None
        self._put(run, "turn_started")
        try:
            async with closing(self._answer(turn)) as events:
                async for event in events:
                    if isinstance(event, TurnEvent):
                        self._put(run, "event", event=event.as_document())
                    else:
                        self._put(run, "answer", answer=_text(event))
            outcome = "answered"
        except DelegationRefusedError as refused:
            outcome, problem = "refused", refused.problem()
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except DraganError as error:
            problem = error.problem()
        except Exception as error:
            # A gateway's primary is somebody else's code: who listens is told in `turn_ended`, the log has it whole.
            log.exception("a turn failed", action="session.turn_failed", turn_id=run.turn_id)
            problem = DraganError(ErrorCode.INTERNAL_ERROR, error_text(error)).problem()
        finally:
            self._end(run, outcome, problem)

    def _end(self, run: Run, outcome: str, problem: Frame | None = None) -> None:
        if self._run is run:
            self._put(run, "turn_ended", outcome=outcome, **({} if problem is None else {"problem": problem}))
            self._run = None

    def _put(self, run: Run, kind: str, **members: Any) -> None:
        if self._run is not run:
            return  # left behind: it has no say any more
        self.last_cursor += 1
        self._frames.append(self._frame(kind, run.turn_id, cursor=self.last_cursor, **members))
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _frame(self, kind: str, turn_id: str | None, *, cursor: int, **members: Any) -> Frame:
        named = {} if turn_id is None else {"turn_id": turn_id}
        return {"cursor": cursor, "type": kind, **named, **members, "at": utc_text(self._clock.wall())}


def _text(event: object) -> str:
    """What an event of the primary path says, as text that can be sent."""
    try:
        text = text_of(event) or str(event)
    except Exception:  # it is somebody else's, and its turn goes on
        text = f"({type(event).__name__})"
    return text.encode("utf-8", "backslashreplace").decode()
