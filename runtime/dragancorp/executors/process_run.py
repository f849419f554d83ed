"""One run of a mission by one program: started, heard, and judged by its last word and its exit code together."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from dragancorp.executors import artifacts
from dragancorp.executors.lane_process import failed, longest_event
from dragancorp.executors.output_log import OutputLog
from dragancorp.executors.protocol import MissionContext, ProcessExited, ProcessOutput, ProcessStarted
from dragancorp.executors.redaction import Redaction
from dragancorp.executors.whole_lines import WholeLines
from dragancorp.executors.work_diff import PATCH_IS, WorkDiff

Event = dict[str, Any]
LOG = "logs/output.log"


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is started: its words, what it reads, what it may see, and how long it may take to stop."""

    argv: Sequence[str]
    stdin: bytes
    environment: Mapping[str, str]
    grace_seconds: float


class Ear(Protocol):
    """How a kind of program is understood."""

    unwelcome: str | None
    """Why the program is to be ended early, once it has said something that nobody can answer."""

    def heard(self, line: str) -> Iterator[Event]:
        """The events of a whole line of standard output; a `log` event is what means nothing else."""
        ...

    def ending(self, exited: ProcessExited) -> Event:
        """The final event, when the program has ended by itself."""
        ...


class ProcessRun:
    """See the module's docstring. `events` is iterated once; `cancel` may be called at any time."""

    def __init__(self, program: Program, context: MissionContext, ear: Ear) -> None:
        self._program = program
        self._context = context
        self._ear = ear
        self._redaction = Redaction(program.environment)
        self._diff = WorkDiff(context, program.environment)
        self._lines = WholeLines(longest_event())
        self._usage: dict[str, Any] = {}
        self._tail: tuple[str, ...] = ()
        self._cancelled = False

    async def cancel(self) -> None:
        """Stop the program: SIGTERM to its group, the grace, SIGKILL; returns when nothing of it is left."""
        self._cancelled = True
        await self._context.processes.kill(self._program.grace_seconds)

    async def events(self) -> AsyncGenerator[Event, None]:
        """What happens, as `ExecutorEvent` documents. Raises `DraganError` when the guard or the workspace fails."""
        started = self._context.clock.monotonic()
        for event in await self._diff.before():
            yield event
        exited: ProcessExited | None = None
        problem = ""
        with OutputLog(self._context.artifacts / LOG) as log:
            running = self._context.processes.run(
                self._program.argv,
                cwd=self._context.workspace,
                env=self._program.environment,
                stdin=self._program.stdin,
                grace_seconds=self._program.grace_seconds,
            )
            try:
                async with aclosing(running) as happenings:
                    async for happening in happenings:
                        match happening:
                            case ProcessStarted() if self._cancelled:
                                break  # asked for between our last look and the start; leaving kills it
                            case ProcessOutput():
                                for event in self._heard(happening, log):
                                    yield event
                                if self._ear.unwelcome is not None:
                                    break
                            case ProcessExited():
                                exited = happening
            except OSError as error:
                problem = f"{self._program.argv[0]} could not be started: {error.strerror or error}"
            for text, whole in self._lines.end():
                for event in self._understood(text, whole, log):
                    yield event
            self._tail = log.tail
        for event in await self._left_behind():
            yield event
        seconds = round(max(0.0, self._context.clock.monotonic() - started), 3)
        yield {"type": "usage", "usage": {**self._usage, "runtime_seconds": seconds}}
        yield self._with_result(self._ending(exited, problem), exited)

    def _heard(self, printed: ProcessOutput, log: OutputLog) -> Iterator[Event]:
        output = self._redaction.output(printed)
        log.write(output)
        if output.stream == "stderr":
            if (text := log.said(output.text)) is not None:
                yield {"type": "log", "message": text, "stream": "stderr"}
            return
        for text, whole in self._lines.add(output):
            yield from self._understood(text, whole, log)

    def _understood(self, text: str, whole: bool, log: OutputLog) -> Iterator[Event]:
        piece: Event = {"type": "log", "message": text, "stream": "stdout"}
        for event in self._ear.heard(text) if whole else iter([piece]):
            if event["type"] == "usage":
                self._usage = dict(event["usage"])
            if event["type"] != "log":
                yield event
            elif (said := log.said(event["message"])) is not None:
                yield {**event, "message": said}

    async def _left_behind(self) -> list[Event]:
        """What is to be said of the workspace and the artifact folder once the program is gone."""
        said: list[Event] = []
        if not self._cancelled:  # whoever cancels waits; handed back, the mission may go on from this very state
            said += await self._diff.after()
        written = [(LOG, "What the program printed")]
        if self._diff.patch is not None:
            written.append((self._diff.patch, PATCH_IS))
        for name, description in written:
            media_type = artifacts.media_type(name)
            said.append({"type": "artifact", "path": name, "media_type": media_type, "description": description})
        return said

    def _ending(self, exited: ProcessExited | None, problem: str) -> Event:
        if self._cancelled:
            return {"type": "cancelled", "message": "Stopped as asked"}
        if self._ear.unwelcome is not None:
            return failed("constraint_refused", self._ear.unwelcome)
        if exited is None:
            return failed("executor_crashed", problem or "the program ended without a trace")
        if exited.exit_code < 0:
            return failed("executor_crashed", f"the program was ended by signal {-exited.exit_code}")
        return self._ear.ending(exited)

    def _with_result(self, ending: Event, exited: ProcessExited | None) -> Event:
        if ending["type"] == "failed":
            ending.setdefault("recommended_next_action", f"Read {LOG} and mend the program or the mission.")
        result = dict(ending.get("result", {}))
        if exited is not None:
            result.setdefault("exit_code", exited.exit_code)
        if self._diff.summary is not None:
            result.setdefault("diff", self._diff.summary)
        if self._tail:
            result.setdefault("last_lines", list(self._tail))
        return {**ending, "result": result}
