"""The `automation` executor: a bounded list of commands, each on the lane's allow list, run in the lane's workspace.

It needs no model and no credential. What it runs stands in the mission's extension `AUTOMATION_URI`, whose value
follows `specs/automation-mission`.
"""

import fnmatch
import os
from collections.abc import Iterator, Mapping
from typing import Any

from dragancorp.errors import ErrorCode
from dragancorp.executors.allow_list import AllowList
from dragancorp.executors.automation_run import AutomationRun
from dragancorp.executors.automation_steps import Step, tool_name
from dragancorp.executors.commands import CommandExecutor
from dragancorp.executors.protocol import Capabilities, MissionContext, Stop
from dragancorp.executors.unfit import Unfit, unknown_extensions
from dragancorp_contracts import judge
from dragancorp_contracts.lifecycle import ReasonCode

AUTOMATION_URI = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"


class AutomationExecutor(CommandExecutor):
    """An `Executor`. Raises `ValueError` for an `allow` entry that cannot be split into words."""

    capabilities = Capabilities(
        resume_session=True,  # the workspace carries the state, and it is kept
        suspend=False,
        approvals=False,
        usage=False,  # no model is called; only the run time is reported
        stop=Stop.KILLED,
        extensions=frozenset({AUTOMATION_URI}),
    )

    def __init__(self, config: Mapping[str, Any], surroundings: Mapping[str, str] = os.environ) -> None:
        super().__init__(config, surroundings)
        self._allow_list = AllowList(config.get("allow", ()))

    def _begin(
        self, envelope: Mapping[str, Any], context: MissionContext, environment: Mapping[str, str]
    ) -> AutomationRun:
        _, value = next(_extensions(envelope))
        steps = [Step.from_json(number, step) for number, step in enumerate(value["steps"], 1)]
        return AutomationRun(steps, context, environment=environment, grace_seconds=self._grace_seconds)

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
