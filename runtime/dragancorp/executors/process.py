"""The executors `process` and `tool`: any program is a lane.

A `process` speaks lane-process/v1 (`specs/lane-process`): it reads the envelope and says executor events. A `tool` is
any command-line program: fields of the mission stand among its words, its exit code is the result. Both run in the
lane's workspace under the guard, one process group a mission.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.commands import CommandExecutor
from dragancorp.executors.lane_process import most_input
from dragancorp.executors.process_run import Ear, ProcessRun, Program
from dragancorp.executors.program_ears import SpeakingEar, ToolEar
from dragancorp.executors.protocol import Capabilities, MissionContext, SessionContext, SessionOpened, Stop
from dragancorp.executors.unfit import Unfit, unknown_extensions
from dragancorp.rules.command_words import SESSION_FIELD, fields_in, filled
from dragancorp_contracts.lifecycle import ReasonCode

TOOL_CONSTRAINTS = ("allowed_tools", "forbidden_tools")


class ProcessExecutor(CommandExecutor):
    """An `Executor` for a program that speaks lane-process/v1."""

    capabilities = Capabilities(
        resume_session=True,  # the workspace carries the state, and it is kept
        suspend=False,
        approvals=False,  # its standard input ends after the envelope, so nobody can answer it
        usage=True,
        stop=Stop.KILLED,
    )

    def __init__(self, config: Mapping[str, Any], surroundings: Mapping[str, str] = os.environ) -> None:
        super().__init__(config, surroundings)
        self._command: Sequence[str] = tuple(config["command"])

    async def open(self, session: SessionContext) -> SessionOpened:
        """As always. Raises `DraganError(workspace_unusable)` for a program that cannot be run."""
        self._look_for(session.workspace)
        return await super().open(session)

    def _begin(
        self, envelope: Mapping[str, Any], context: MissionContext, environment: Mapping[str, str]
    ) -> ProcessRun:
        program = Program(
            argv=self._words(envelope, context),
            stdin=self._input(envelope),
            environment=environment,
            grace_seconds=self._grace_seconds,
        )
        return ProcessRun(program, context, self._ear(context))

    # What differs for a tool.

    def _words(self, envelope: Mapping[str, Any], context: MissionContext) -> Sequence[str]:
        return self._command

    def _input(self, envelope: Mapping[str, Any]) -> bytes:
        return json.dumps(envelope, ensure_ascii=False).encode() + b"\n"

    def _ear(self, context: MissionContext) -> Ear:
        return SpeakingEar()

    def _reasons(self, envelope: Mapping[str, Any]) -> Iterator[Unfit]:
        """A program judges extensions and tools itself; what it can never do is ask."""
        if len(self._input(envelope)) > most_input():
            yield _constrained("/objective", f"the envelope is over {most_input()} bytes, more than a program is given")
        yield from _approvals(envelope)

    # The rest is the same.

    def _look_for(self, workspace: Path) -> None:
        program = self._command[0]
        found = shutil.which(
            program if "/" not in program or program.startswith("/") else str(workspace / program),
            path=self._surroundings.get("PATH", os.defpath) if "PATH" in self._names else os.defpath,
        )
        if found is None:
            raise DraganError(
                ErrorCode.WORKSPACE_UNUSABLE,
                f"the lane's program {program!r} is not there or may not be run; mend executor.command or the PATH",
            )


class ToolExecutor(ProcessExecutor):
    """An `Executor` for a program that knows nothing of missions."""

    capabilities = Capabilities(
        resume_session=True, suspend=False, approvals=False, usage=False, stop=Stop.KILLED
    )  # usage: only the run time is reported

    def __init__(self, config: Mapping[str, Any], surroundings: Mapping[str, str] = os.environ) -> None:
        super().__init__(config, surroundings)
        self._resume_command: Sequence[str] = tuple(config.get("resume_command", ()))
        self._session_member: str | None = config.get("session_member")

    def _words(self, envelope: Mapping[str, Any], context: MissionContext) -> Sequence[str]:
        words, values = (
            self._command,
            {
                "objective": envelope["objective"],
                "mission_id": context.mission_id,
                "mission_type": envelope.get("mission_type", ""),
                "attempt": str(context.attempt),
                "workspace": str(context.workspace),
                "artifacts": str(context.artifacts),
            },
        )
        if context.agent_session is not None and self._resume_command:
            words, values[SESSION_FIELD] = self._resume_command, context.agent_session
        return [filled(word, values) for word in words]

    def _input(self, envelope: Mapping[str, Any]) -> bytes:
        return b""

    def _ear(self, context: MissionContext) -> Ear:
        resuming = context.agent_session is not None and bool(self._resume_command)
        return ToolEar(context.clock, session_member=self._session_member, resuming=resuming)

    def _reasons(self, envelope: Mapping[str, Any]) -> Iterator[Unfit]:
        """A tool knows no extension and keeps no constraint; and an objective must never become one of its options."""
        yield from unknown_extensions(envelope, self.capabilities.extensions)
        constraints = envelope.get("constraints") or {}
        for name in TOOL_CONSTRAINTS:
            if name in constraints:
                yield _constrained(f"/constraints/{name}", "a plain tool knows nothing of constraints on tools")
        yield from _approvals(envelope)
        if envelope["objective"].startswith("-") and self._may_read_an_option():
            yield _constrained(
                "/objective",
                "it begins with `-`, and the tool would take it for an option; begin with another character, or put "
                "`--` before the field in the lane's command",
            )

    def _may_read_an_option(self) -> bool:
        return any(map(_reads_options_from_fields, (self._command, self._resume_command)))


def _reads_options_from_fields(words: Sequence[str]) -> bool:
    """Whether a word that begins with what a mission says stands where a program looks for options."""
    fields = [index for index, word in enumerate(words) if word.startswith("{") and fields_in(word)]
    ended = words.index("--") if "--" in words else len(words)
    return any(index < ended for index in fields if fields_in(words[index]) != [SESSION_FIELD])


def _approvals(envelope: Mapping[str, Any]) -> Iterator[Unfit]:
    for index, pattern in enumerate((envelope.get("constraints") or {}).get("approval_required", ())):
        if pattern != "*":  # alone it asks for an approval before the start, which the control plane sees to
            yield _constrained(
                f"/constraints/approval_required/{index}",
                f"{pattern} would need an approval, and the program of this lane cannot ask for one",
            )


def _constrained(place: str, sentence: str) -> Unfit:
    return Unfit(
        pointer=place, sentence=sentence, error=ErrorCode.COMMAND_NOT_ALLOWED, reason=ReasonCode.CONSTRAINT_REFUSED
    )
