"""The `callable` executor: an async generator function in the worker's own process.

It is called with the envelope and the `MissionContext` and yields `ExecutorEvent` documents, the last one its last
word; a question is answered by what `yield` returns:

    async def codie(mission, context):
        answer = yield {"type": "approval_wanted", "request_id": "1", "tool": "git push", "message": "may I?"}
        yield {"type": "completed", "summary": "pushed" if answer["approved"] else "left alone"}

It cannot take the plane down: whatever it raises fails its mission alone. It can be fenced and not killed: one that
refuses to be cancelled is left behind, and nothing it yields is heard any more. One that blocks the event loop blocks
everything in it; that needs a `process`.
"""

import asyncio
import importlib
import inspect
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.protocol import (
    ASKS,
    DEFAULT_CANCEL_GRACE_SECONDS,
    FINAL,
    Capabilities,
    MissionContext,
    SessionContext,
    SessionOpened,
    Stop,
)
from dragancorp.executors.unfit import Unfit, unknown_extensions
from dragancorp_contracts import judge

Event = Mapping[str, Any]
Agent = Callable[[Mapping[str, Any], MissionContext], AsyncGenerator[Event, Any]]

log = structlog.get_logger("dragancorp.executors")


class CallableExecutor:
    """An `Executor`. `config` is the `executor` object of the lane's configuration.

    Raises `DraganError(lanes_file_invalid)` for a target that cannot be imported or is no async generator function.
    """

    capabilities = Capabilities(resume_session=True, suspend=False, approvals=True, usage=True, stop=Stop.FENCED)

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._agent = agent_at(config["target"])
        self._grace_seconds = float(config.get("cancel_grace_seconds", DEFAULT_CANCEL_GRACE_SECONDS))
        self._running: CallableRun | None = None

    async def open(self, session: SessionContext) -> SessionOpened:
        """Always succeeds: an id given before is kept."""
        if session.executor_session_id is not None:
            return SessionOpened(executor_session_id=session.executor_session_id, outcome="resumed")
        return SessionOpened(executor_session_id=f"callable-{uuid.uuid4().hex}", outcome="opened")

    def refuse(self, envelope: Mapping[str, Any]) -> Sequence[Unfit]:
        """See `Executor.refuse`."""
        return list(unknown_extensions(envelope, self.capabilities.extensions))

    async def run(self, envelope: Mapping[str, Any], context: MissionContext) -> AsyncGenerator[Event, None]:
        """See `Executor.run`. Raises `RuntimeError` with what the generator raised, whatever that was."""
        running = self._running = CallableRun(self._agent, envelope, context, self._grace_seconds)
        try:
            while (event := await running.next()) is not None:
                yield event
                if event["type"] in FINAL:
                    return
        finally:
            await running.leave()
            if self._running is running:
                self._running = None

    async def answer(self, request_id: str, answer: Mapping[str, Any]) -> None:
        """Hand the answer to the generator, which waits at its `yield`."""
        if self._running is not None:
            self._running.answer(request_id, answer)

    async def cancel(self) -> None:
        """Cancel the generator; returns when it has ended or its grace is over."""
        if self._running is not None:
            await self._running.cancel()

    async def suspend(self) -> None:
        """Never needed: its capabilities say that it cannot."""
        raise NotImplementedError("a generator cannot be suspended")

    async def close(self) -> None:
        """Cancel what runs."""
        await self.cancel()


class CallableRun:
    """One mission's generator, driven by a task of its own, so that nothing it raises reaches anybody else."""

    def __init__(
        self, agent: Agent, envelope: Mapping[str, Any], context: MissionContext, grace_seconds: float
    ) -> None:
        self._grace_seconds = grace_seconds
        self._heard: asyncio.Queue[Event | RuntimeError | None] = asyncio.Queue(maxsize=1)
        self._asked: str | None = None
        self._answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._left = False
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._drive(agent, envelope, context), name="callable executor")

    async def next(self) -> Event | None:
        """The next event; None after the last. Raises `RuntimeError` for a generator that failed."""
        heard, over = asyncio.ensure_future(self._heard.get()), asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({heard, over}, return_when=asyncio.FIRST_COMPLETED)
            if not heard.done():
                return {"type": "cancelled", "message": "Stopped as asked"}
            found = heard.result()
        finally:
            for task in (heard, over):
                task.cancel()
        if isinstance(found, RuntimeError):
            raise found
        return found

    def answer(self, request_id: str, answer: Mapping[str, Any]) -> None:
        """Answer the question that is waited for; another one's answer is dropped."""
        if request_id == self._asked and not self._answer.done():
            self._answer.set_result(answer)

    async def cancel(self) -> None:
        """Ask it to end; what does not end within the grace is left behind, and nobody hears it any more."""
        await self.leave()
        self._over.set()

    async def leave(self) -> None:
        """The same, without a word about it."""
        self._left = True  # what it says from here on has no listener, and must not wait for one
        if self._task.done():
            return
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=self._grace_seconds)
        if not self._task.done():
            log.warning("a generator refuses to end; it is fenced", action="executor.left_behind")

    async def _drive(self, agent: Agent, envelope: Mapping[str, Any], context: MissionContext) -> None:
        try:
            await self._listen(agent(envelope, context))
        except asyncio.CancelledError as error:
            await self._say(RuntimeError(f"something inside the generator was cancelled: {error}"))
        except BaseException as error:  # SystemExit and KeyboardInterrupt would end the whole process
            await self._say(RuntimeError(f"{type(error).__name__}: {error}"[:8000]))
        else:
            await self._say(None)

    async def _listen(self, generator: AsyncGenerator[Event, Any]) -> None:
        answer: Any = None
        try:
            while True:
                event = await generator.asend(answer)
                answer = None
                broken = judge.violations("executor-events", event)
                if broken:
                    first = broken[0]
                    raise ValueError(f"no executor event: {first.pointer or '/'}: {first.message} [{first.rule}]")
                if event["type"] in ASKS:
                    self._asked, self._answer = event.get("request_id", ""), asyncio.get_running_loop().create_future()
                await self._say(event)
                if event["type"] in FINAL:
                    return
                if event["type"] in ASKS:
                    answer = await self._answer
        except StopAsyncIteration:
            return
        finally:
            with suppress(Exception):  # its last word has been said, or its failure is on its way
                await generator.aclose()

    async def _say(self, heard: Event | RuntimeError | None) -> None:
        if not self._left:
            await self._heard.put(heard)


def agent_at(target: str) -> Agent:
    """The async generator function at `package.module:name`. Raises `DraganError(lanes_file_invalid)`."""
    module, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module that is imported runs somebody else's code
        raise DraganError(
            ErrorCode.LANES_FILE_INVALID, f"executor.target: {target} cannot be imported: {error}"
        ) from error
    if not inspect.isasyncgenfunction(found):
        raise DraganError(
            ErrorCode.LANES_FILE_INVALID, f"executor.target: {target} is no async generator function (`yield` events)"
        )
    agent: Agent = found
    return agent
