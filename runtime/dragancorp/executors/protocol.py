"""The `Executor` port: how a lane makes an agent work, whatever the agent is.

An executor is opened once per session under a held lease and runs one mission after another in the session's
workspace. It says what it does as `ExecutorEvent` documents (`specs/executor-events`) and declares what it cannot
do, so that nobody finds out in the middle of a mission.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from dragancorp.clock import Clock
from dragancorp.executors.unfit import Unfit

DEFAULT_CANCEL_GRACE_SECONDS = 5.0
FINAL = frozenset({"completed", "failed", "cancelled"})
"""The types of event that end a run."""
ASKS = frozenset({"approval_wanted", "input_wanted", "login_wanted"})
"""The types of event that wait for somebody's answer."""


class Stop(StrEnum):
    """What "stopped" means for an executor's work."""

    KILLED = "killed"  # its process group is gone, on this host, for certain
    FENCED = "fenced"  # it may go on somewhere, but nothing it writes is accepted any more


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What an executor can do; whoever asks for more is refused before the start."""

    resume_session: bool  # the same executor session goes on after a restart
    suspend: bool  # a blocked mission may give up its slot and go on later
    approvals: bool  # it can ask and wait for an answer
    usage: bool  # it reports model calls and cost
    stop: Stop
    extensions: frozenset[str] = frozenset()  # the mission extensions it understands, by URI


@dataclass(frozen=True, kw_only=True)
class SessionContext:
    """What an executor is opened with."""

    vp_id: str
    vp_session_id: str
    executor_session_id: str | None  # what the executor answered last time; None: never opened
    workspace: Path
    config: Mapping[str, Any]  # the `executor` object of the lane's configuration


@dataclass(frozen=True, kw_only=True)
class SessionOpened:
    """What an executor answers when it is open."""

    executor_session_id: str
    outcome: Literal["opened", "resumed", "replaced"]


@dataclass(frozen=True, kw_only=True)
class ProcessStarted:
    """A process was started in a group of its own."""

    pid: int


@dataclass(frozen=True, kw_only=True)
class ProcessOutput:
    """One line of output, without its newline; longer ones than the limit come in pieces marked `partial`."""

    stream: Literal["stdout", "stderr"]
    text: str
    partial: bool = False


@dataclass(frozen=True, kw_only=True)
class ProcessExited:
    """The process ended and nothing of its group is left; `exit_code` is negative for the signal that ended it."""

    exit_code: int
    duration_seconds: float
    timed_out: bool = False


ProcessEvent = ProcessStarted | ProcessOutput | ProcessExited


class ProcessRunner(Protocol):
    """Starts processes so that none outlives its mission; the guard of the worker stands behind it."""

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: bytes = b"",
        timeout_seconds: float | None = None,
        grace_seconds: float = 5.0,
    ) -> AsyncGenerator[ProcessEvent, None]:
        """Run one process to its end; the last event is `ProcessExited`.

        Leaving the iteration early (`aclose`, best by `contextlib.aclosing`) ends the process: SIGTERM,
        `grace_seconds`, SIGKILL; so does the time limit. Raises `OSError` (`FileNotFoundError`, `PermissionError`,
        ...) when the program cannot be started and `DraganError(workspace_busy)` when another execution still
        holds the workspace.
        """
        ...

    async def kill(self, grace_seconds: float = 5.0) -> None:
        """End the running process, if there is one, and return when nothing of it is left.

        Whoever iterates `run` still gets the output so far and `ProcessExited`.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class MissionContext:
    """What one run of a mission is given."""

    mission_id: str
    attempt: int
    lease_epoch: int
    resume: bool  # an earlier attempt may have left traces in the workspace
    workspace: Path
    artifacts: Path  # the folder whose files become the mission's artifacts
    processes: ProcessRunner
    clock: Clock
    decision: Mapping[str, Any] | None = None  # on resuming: what was decided meanwhile, `request_id` and `answer`
    environment: Mapping[str, str] = field(default_factory=dict)  # ids and folders, for child processes
    agent_session: str | None = None  # the agent's own session to go on in, as a `session` event named it


class Executor(Protocol):
    """One kind of agent. See the module's docstring."""

    capabilities: Capabilities

    async def open(self, session: SessionContext) -> SessionOpened:
        """Start or resume the agent's session. Raises `DraganError(session_unresumable)`-like errors as they are."""
        ...

    def refuse(self, envelope: Mapping[str, Any]) -> Sequence[Unfit]:
        """Why this mission would never run here; empty: it may. Pure and quick.

        A required extension that the executor does not know is such a reason (`unknown_extensions`).
        """
        ...

    def run(self, envelope: Mapping[str, Any], context: MissionContext) -> AsyncGenerator[Mapping[str, Any], None]:
        """Run one mission; yields `ExecutorEvent` documents, the last being completed, failed or cancelled."""
        ...

    async def answer(self, request_id: str, answer: Mapping[str, Any]) -> None:
        """Hand the answer to an approval, input or log-in question to the waiting agent."""
        ...

    async def cancel(self) -> None:
        """Ask the running mission to stop; the guard kills what does not."""
        ...

    async def suspend(self) -> None:
        """Give up the slot of a blocked mission, keeping what a later run needs to go on."""
        ...

    async def close(self) -> None:
        """End the session's processes; the session itself can be opened again."""
        ...
