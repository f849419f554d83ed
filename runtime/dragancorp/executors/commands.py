"""What executors share that run programs in the workspace: one run at a time, no questions, a session by name."""

import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from dragancorp.executors.child_environment import DEFAULT_NAMES, child_environment
from dragancorp.executors.protocol import (
    DEFAULT_CANCEL_GRACE_SECONDS,
    Capabilities,
    MissionContext,
    SessionContext,
    SessionOpened,
)
from dragancorp.executors.unfit import Unfit, refused

Event = dict[str, Any]


class CommandRun(Protocol):
    """One mission's run. `events` is iterated once; `cancel` may be called at any time."""

    def events(self) -> AsyncGenerator[Event, None]: ...

    async def cancel(self) -> None: ...


class CommandExecutor(ABC):
    """The common part of an `Executor`. `config` is the `executor` object of the lane's configuration.

    `surroundings` is the environment that the lane's `environment` names are looked up in.
    """

    capabilities: Capabilities

    def __init__(self, config: Mapping[str, Any], surroundings: Mapping[str, str] = os.environ) -> None:
        self._kind = str(config["type"])
        self._names: Sequence[str] = config.get("environment", DEFAULT_NAMES)
        self._grace_seconds = float(config.get("cancel_grace_seconds", DEFAULT_CANCEL_GRACE_SECONDS))
        self._surroundings = surroundings
        self._running: CommandRun | None = None

    async def open(self, session: SessionContext) -> SessionOpened:
        """An id given before is kept: the session lives in the workspace, which is."""
        if session.executor_session_id is not None:
            return SessionOpened(executor_session_id=session.executor_session_id, outcome="resumed")
        return SessionOpened(executor_session_id=f"{self._kind}-{uuid.uuid4().hex}", outcome="opened")

    def refuse(self, envelope: Mapping[str, Any]) -> Sequence[Unfit]:
        """See `Executor.refuse`."""
        return list(self._reasons(envelope))

    def run(self, envelope: Mapping[str, Any], context: MissionContext) -> AsyncGenerator[Event, None]:
        """See `Executor.run`. A mission that `refuse` would refuse fails before anything starts."""
        reasons = self.refuse(envelope)
        if reasons:
            return refused(reasons)
        environment = child_environment(self._names, self._surroundings, context)
        running = self._running = self._begin(envelope, context, environment)
        return self._events(running)

    async def answer(self, request_id: str, answer: Mapping[str, Any]) -> None:
        """Never needed: nothing is asked, and the capabilities say so."""
        raise NotImplementedError(f"a lane of type {self._kind} asks no questions")

    async def cancel(self) -> None:
        """See `Executor.cancel`; returns when the processes are gone."""
        if self._running is not None:
            await self._running.cancel()

    async def suspend(self) -> None:
        """Never needed, as above."""
        raise NotImplementedError(f"a lane of type {self._kind} cannot be suspended")

    async def close(self) -> None:
        """Stop what runs; there is no process of the session itself."""
        await self.cancel()

    @abstractmethod
    def _reasons(self, envelope: Mapping[str, Any]) -> Iterator[Unfit]:
        """Why the mission would never run here."""

    @abstractmethod
    def _begin(
        self, envelope: Mapping[str, Any], context: MissionContext, environment: Mapping[str, str]
    ) -> CommandRun:
        """The run of a mission that is fit."""

    async def _events(self, running: CommandRun) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(running.events()) as events:
                async for event in events:
                    yield event
        finally:
            if self._running is running:
                self._running = None
