"""The `automation` executor: a bounded list of commands, each on the lane's allow list, run in the lane's workspace.

It needs no model and no credential. What it runs stands in the mission's extension `AUTOMATION_URI`, whose value
follows `specs/automation-mission`.
"""

import fnmatch
import os
import uuid
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from dragancorp.errors import ErrorCode
from dragancorp.executors.allow_list import AllowList
from dragancorp.executors.automation_run import AutomationRun, Event
from dragancorp.executors.automation_steps import Step, tool_name
from dragancorp.executors.child_environment import DEFAULT_NAMES, child_environment
from dragancorp.executors.protocol import Capabilities, MissionContext, SessionContext, SessionOpened, Stop
from dragancorp.executors.unfit import Unfit, refused, unknown_extensions
from dragancorp_contracts import judge
from dragancorp_contracts.lifecycle import ReasonCode

AUTOMATION_URI = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"

DEFAULT_CANCEL_GRACE_SECONDS = 5.0


class AutomationExecutor:
    """An `Executor`. `config` is the `executor` object of the lane's configuration.

    `surroundings` is the environment that the lane's `environment` names are looked up in. Raises `ValueError` for an
    `allow` entry that cannot be split into words.
    """

    capabilities = Capabilities(
        resume_session=True,  # the workspace carries the state, and it is kept
        suspend=False,
        approvals=False,
        usage=False,  # no model is called; only the run time is reported
        stop=Stop.KILLED,
        extensions=frozenset({AUTOMATION_URI}),
    )

    def __init__(self, config: Mapping[str, Any], surroundings: Mapping[str, str] = os.environ) -> None:
        self._allow_list = AllowList(config.get("allow", ()))
        self._environment_names: Iterable[str] = config.get("environment", DEFAULT_NAMES)
        self._grace_seconds = float(config.get("cancel_grace_seconds", DEFAULT_CANCEL_GRACE_SECONDS))
        self._surroundings = surroundings
        self._running: AutomationRun | None = None

    async def open(self, session: SessionContext) -> SessionOpened:
        """Always succeeds: an id given before is kept."""
        if session.executor_session_id is not None:
            return SessionOpened(executor_session_id=session.executor_session_id, outcome="resumed")
        return SessionOpened(executor_session_id=f"automation-{uuid.uuid4().hex}", outcome="opened")

    def refuse(self, envelope: Mapping[str, Any]) -> Sequence[Unfit]:
        """See `Executor.refuse`."""
        return list(self._reasons(envelope))

    def run(self, envelope: Mapping[str, Any], context: MissionContext) -> AsyncGenerator[Event, None]:
        """See `Executor.run`. A mission that `refuse` would refuse fails before anything starts."""
        reasons = list(self._reasons(envelope))
        if reasons:
            return refused(reasons)
        _, value = next(_extensions(envelope))
        self._running = AutomationRun(
            [Step.from_json(number, step) for number, step in enumerate(value["steps"], 1)],
            context,
            environment=child_environment(self._environment_names, self._surroundings, context),
            grace_seconds=self._grace_seconds,
        )
        return self._events(self._running)

    async def answer(self, request_id: str, answer: Mapping[str, Any]) -> None:
        """Never needed: this executor asks nothing, and says so in its capabilities."""
        raise NotImplementedError("the automation executor asks no questions")

    async def cancel(self) -> None:
        """See `Executor.cancel`; returns when the running command's processes are gone."""
        if self._running is not None:
            await self._running.cancel()

    async def suspend(self) -> None:
        """Never needed, as above."""
        raise NotImplementedError("the automation executor cannot be suspended")

    async def close(self) -> None:
        """Stop what runs; there is no process of the session itself."""
        await self.cancel()

    async def _events(self, running: AutomationRun) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(running.events()) as events:
                async for event in events:
                    yield event
        finally:
            if self._running is running:
                self._running = None

    def _reasons(self, envelope: Mapping[str, Any]) -> Iterator[Unfit]:
        yield from unknown_extensions(envelope, self.capabilities.extensions)
        found = list(_extensions(envelope))
        if not found:
            yield Unfit(
                pointer="/extensions",
                sentence=f"an automation mission needs the extension {AUTOMATION_URI} with the commands to run",
                error=ErrorCode.DOCUMENT_INVALID,
                reason=ReasonCode.EXTENSION_UNSUPPORTED,
            )
            return
        for pointer, _ in found[1:]:
            yield Unfit(
                pointer=pointer,
                sentence="the automation extension stands here a second time",
                error=ErrorCode.DOCUMENT_INVALID,
                reason=ReasonCode.EXTENSION_UNSUPPORTED,
            )
        pointer, value = found[0]
        broken = judge.violations("automation-mission", value)
        for violation in broken:
            yield Unfit(
                pointer=f"{pointer}/value{violation.pointer}",
                rule=violation.rule,
                sentence=violation.message,
                error=ErrorCode.DOCUMENT_INVALID,
                reason=ReasonCode.EXTENSION_UNSUPPORTED,
            )
        if broken:
            return
        constraints = envelope.get("constraints") or {}
        for index, step in enumerate(value["steps"]):
            place = f"{pointer}/value/steps/{index}/run"
            if not self._allow_list.allows(step["run"]):
                shown = " ".join(step["run"])[:200]
                yield _forbidden(place, f"the command `{shown}` is not on the lane's allow list")
            yield from _constrained(constraints, tool_name(step["run"][0]), place)


def _extensions(envelope: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for index, extension in enumerate(envelope.get("extensions") or ()):
        if extension["uri"] == AUTOMATION_URI:
            yield f"/extensions/{index}", extension["value"]


def _forbidden(place: str, sentence: str, reason: ReasonCode = ReasonCode.TOOL_FORBIDDEN) -> Unfit:
    return Unfit(pointer=place, sentence=sentence, error=ErrorCode.COMMAND_NOT_ALLOWED, reason=reason)


def _constrained(constraints: Mapping[str, Any], tool: str, place: str) -> Iterator[Unfit]:
    """What the mission's own constraints say against a tool; a denial is said even of a tool that is allowed."""
    for index, pattern in enumerate(constraints.get("forbidden_tools", ())):
        if fnmatch.fnmatchcase(tool, pattern):
            yield _forbidden(place, f"the tool {tool} is forbidden by /constraints/forbidden_tools/{index}")
    allowed = constraints.get("allowed_tools")
    if allowed is not None and not any(fnmatch.fnmatchcase(tool, pattern) for pattern in allowed):
        yield _forbidden(place, f"the tool {tool} is not among /constraints/allowed_tools")
    for index, pattern in enumerate(constraints.get("approval_required", ())):
        # `*` alone asks for an approval before the start, which the control plane sees to.
        if pattern != "*" and fnmatch.fnmatchcase(tool, pattern):
            yield _forbidden(
                f"/constraints/approval_required/{index}",
                f"the tool {tool} would need an approval, and this executor cannot ask for one",
                ReasonCode.CONSTRAINT_REFUSED,
            )
