"""One run of an automation mission: its steps in order, then the report."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from dragancorp.executors import artifacts
from dragancorp.executors.automation_steps import Step, StepResult
from dragancorp.executors.output_log import OutputLog
from dragancorp.executors.protocol import MissionContext, ProcessExited, ProcessOutput, ProcessStarted
from dragancorp.executors.redaction import Redaction
from dragancorp.executors.step_journal import StepJournal
from dragancorp.executors.work_diff import PATCH_IS, WorkDiff

Event = dict[str, Any]
JOURNAL = "steps.json"  # an artifact like the others: which steps are done


class AutomationRun:
    """See the module's docstring. `events` is iterated once; `cancel` may be called at any time."""

    def __init__(
        self,
        steps: Sequence[Step],
        context: MissionContext,
        *,
        environment: Mapping[str, str],
        grace_seconds: float,
    ) -> None:
        self._steps = steps
        self._context = context
        self._environment = environment
        self._grace_seconds = grace_seconds
        self._diff = WorkDiff(context, environment)
        self._journal = StepJournal(context.artifacts / JOURNAL, steps)
        self._results: list[StepResult] = []
        self._written: list[tuple[str, str]] = []  # artifacts, with a description
        self._cancelled = False

    async def cancel(self) -> None:
        """Stop the running step and start no other; returns when its processes are gone."""
        self._cancelled = True
        await self._context.processes.kill(self._grace_seconds)

    async def events(self) -> AsyncGenerator[Event, None]:
        """What happens, as `ExecutorEvent` documents. Raises `DraganError` when the guard or the workspace fails."""
        started = self._context.clock.monotonic()
        if self._context.resume:
            yield _progress(self._take_up())
        for event in await self._diff.before():
            yield event
        for step in self._steps[len(self._results) :]:
            if self._cancelled:
                break
            yield _progress(f"Step {step.number} of {len(self._steps)}: {step.name}")
            async with aclosing(self._run_step(step)) as events:
                async for event in events:
                    yield event
            if not self._results[-1].ok and not step.continue_on_failure:
                break
            if not self._cancelled:
                self._journal.add(self._results[-1])
        if not self._cancelled:  # whoever cancels waits; handed back, the mission may go on from this very state
            for event in await self._diff.after():
                yield event
        if self._diff.patch is not None:
            self._written.append((self._diff.patch, PATCH_IS))
        ending = self._ending()
        self._write_report(ending)
        for name, description in self._written:
            yield {
                "type": "artifact",
                "path": name,
                "media_type": artifacts.media_type(name),
                "description": description,
            }
        seconds = self._context.clock.monotonic() - started
        yield {"type": "usage", "usage": {"runtime_seconds": round(max(0.0, seconds), 3)}}
        yield ending

    def _take_up(self) -> str:
        """Go on behind what an earlier attempt finished; says so."""
        self._results = self._journal.read()
        self._written = [(done.step.log_name, f"Output of step {done.step.number}") for done in self._results]
        if not self._results:
            return "Starting over in the workspace that an earlier attempt left"
        return f"Going on behind step {len(self._results)} of {len(self._steps)}, done by an earlier attempt"

    async def _run_step(self, step: Step) -> AsyncGenerator[Event, None]:
        call_id = f"{self._context.attempt}-{step.number}"
        yield {"type": "tool_started", "tool": step.tool, "call_id": call_id, "message": " ".join(step.words)}
        exited: ProcessExited | None = None
        problem: str | None = None
        redaction = Redaction(self._environment)
        with OutputLog(self._context.artifacts / step.log_name) as log:
            self._written.append((step.log_name, f"Output of step {step.number}"))
            running = self._context.processes.run(
                step.command,
                cwd=self._context.workspace,
                env=self._environment,
                stdin=step.stdin,
                timeout_seconds=step.timeout_seconds,
                grace_seconds=self._grace_seconds,
            )
            try:
                async with aclosing(running) as happenings:
                    async for happening in happenings:
                        match happening:
                            case ProcessStarted() if self._cancelled:
                                break  # asked for between our last look and the start; leaving kills it
                            case ProcessOutput():
                                if (text := log.add(redaction.output(happening))) is not None:
                                    yield {"type": "log", "message": text, "stream": happening.stream}
                            case ProcessExited():
                                exited = happening
            except OSError as error:
                problem = f"could not be started: {error.strerror or error}"
            result = StepResult(
                step=step,
                exit_code=None if exited is None else exited.exit_code,
                duration_seconds=0.0 if exited is None else exited.duration_seconds,
                problem=problem or self._problem(step, exited),
                crashed=exited is not None and exited.exit_code < 0 and not (exited.timed_out or self._cancelled),
                tail=log.tail,
            )
        self._results.append(result)
        finished: Event = {
            "type": "tool_finished",
            "tool": step.tool,
            "call_id": call_id,
            "ok": result.ok,
            "duration_seconds": result.duration_seconds,
        }
        if result.exit_code is not None:
            finished["exit_code"] = result.exit_code
        if result.problem is not None:
            finished["message"] = result.problem
        yield finished

    def _problem(self, step: Step, exited: ProcessExited | None) -> str | None:
        if exited is None or (self._cancelled and exited.exit_code != 0):
            return "was cancelled"
        if exited.timed_out:
            return f"was stopped after its time limit of {step.timeout_seconds:g} s"
        if exited.exit_code < 0:
            return f"was ended by signal {-exited.exit_code}"
        return f"exited with {exited.exit_code}" if exited.exit_code else None

    # The end.

    def _ending(self) -> Event:
        """The final event; its `result` is the same whatever the outcome."""
        result = self._result()
        if self._cancelled:
            return {"type": "cancelled", "message": f"Cancelled after {self._counted()}", "result": result}
        last = self._results[-1]
        if not last.ok and not last.step.continue_on_failure:
            message = f"Step {last.step.number} '{last.step.name}' ({' '.join(last.step.words)[:500]}) {last.problem}"
            return {
                "type": "failed",
                "reason_code": "executor_crashed" if last.crashed else "executor_error",
                "message": message,
                "recommended_next_action": f"Read {last.step.log_name} and mend the step.",
                "result": result,
            }
        return {
            "type": "completed",
            "summary": self._summary(),
            "recommended_next_action": self._next_action(),
            "result": result,
        }

    def _result(self) -> Event:
        result: Event = {"steps": [step.as_json() for step in self._results]}
        tests = [step for step in self._results if step.step.kind == "test"]
        if tests:
            decisive = next((test for test in tests if not test.ok), tests[-1])
            result["tests"] = {
                "passed": decisive.ok,
                "exit_code": decisive.exit_code,
                "last_lines": list(decisive.tail),
            }
        if self._diff.summary is not None:
            result["diff"] = self._diff.summary
        return result

    def _summary(self) -> str:
        parts = [self._counted()]
        failed = [step.step.name for step in self._results if not step.ok]
        if failed:
            parts.append(f"failed but not required: {', '.join(failed)}")
        if "tests" in (result := self._result()):
            parts.append("tests passed" if result["tests"]["passed"] else "tests failed")
        if (diff := self._diff.summary) is not None:
            count = diff["files_changed"]
            parts.append(
                f"{count} {'file' if count == 1 else 'files'} changed (+{diff['insertions']} -{diff['deletions']})"
                if count
                else "nothing changed"
            )
        return "; ".join(parts)

    def _next_action(self) -> str:
        tests = self._result().get("tests")
        if tests is not None and not tests["passed"]:
            return "Read the log of the test step; its failure did not stop the mission."
        diff = self._diff.summary
        if diff is None or not diff["files_changed"]:
            return "Read report.json; there is no change to take over."
        branch = f" on branch {diff['branch']}" if diff.get("branch") else ""
        if tests is None:
            return f"Test the change{branch} before taking it over; nothing was tested here."
        return f"Review diff.patch and take the change{branch} over; the tests passed."

    def _counted(self) -> str:
        return f"{len(self._results)} of {len(self._steps)} {'step' if len(self._steps) == 1 else 'steps'} run"

    def _write_report(self, ending: Event) -> None:
        report = {
            "mission_id": self._context.mission_id,
            "attempt": self._context.attempt,
            "outcome": ending["type"],
            "message": ending.get("summary", ending.get("message")),
            **ending["result"],
        }
        text = json.dumps(report, indent=2, ensure_ascii=False)
        (self._context.artifacts / "report.json").write_text(text + "\n", encoding="utf-8", errors="replace")
        self._written.append(("report.json", "Steps, test result and diff summary"))
        if (self._context.artifacts / JOURNAL).exists():
            self._written.append((JOURNAL, "Which steps are done"))


def _progress(message: str) -> Event:
    return {"type": "progress", "message": message}
