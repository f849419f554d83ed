"""How programs are understood: one that speaks lane-process/v1, and one that knows nothing of missions."""

import re
from collections.abc import Iterator
from typing import Any

from dragancorp.clock import Clock
from dragancorp.executors.lane_process import event_in, failed, longest_event, meaning_of
from dragancorp.executors.protocol import ASKS, FINAL, ProcessExited
from dragancorp_contracts import strict_json

Event = dict[str, Any]
SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
PROGRESS_SECONDS = 1.0  # between two lines of a tool that are told as progress; all are in the log
SUMMARY_CHARACTERS = 4000


class SpeakingEar:
    """A program that speaks lane-process/v1. Its last word counts together with its exit code."""

    def __init__(self) -> None:
        self.unwelcome: str | None = None
        self._final: Event | None = None

    def heard(self, line: str) -> Iterator[Event]:
        """See `Ear.heard`. What follows the last word is a log line, whatever it looks like."""
        event = event_in(line) if self._final is None else None
        if isinstance(event, str):
            yield _log(line)
            yield _log(f"[no executor event: {event}]")
        elif event is None:
            yield _log(line)
        elif event["type"] in FINAL:
            self._final = dict(event)
        elif event["type"] in ASKS:
            self.unwelcome = f"the program asks ({event['type']}) and cannot be answered: {event['message']}"[:4000]
        else:
            yield dict(event)

    def ending(self, exited: ProcessExited) -> Event:
        """See `Ear.ending`: without a last word the exit code decides; where the two contradict, it has failed."""
        meaning, final = meaning_of(exited.exit_code), self._final
        if final is None:
            if meaning.outcome == "completed":
                return {"type": "completed", "summary": meaning.description}
            return failed(
                meaning.reason_code or "executor_error", f"exit code {exited.exit_code}: {meaning.description}"
            )
        said = final.get("summary") or final.get("message") or ""
        if final["type"] == "failed" or (final["type"] == "completed" and meaning.outcome == "completed"):
            return final
        if final["type"] == "cancelled":
            return failed("executor_error", f"it says that it was cancelled, and nobody asked for it: {said}")
        message = f"it says completed and exits with {exited.exit_code} ({meaning.description}): {said}"
        return {**failed(meaning.reason_code or "executor_error", message), "result": final.get("result", {})}


class ToolEar:
    """A program that knows nothing of missions: what it prints is progress, its exit code is the result."""

    def __init__(self, clock: Clock, *, session_member: str | None = None, resuming: bool = False) -> None:
        """`session_member` holds the agent's session id in lines that are JSON; `resuming`: it was given one."""
        self.unwelcome: str | None = None
        self._clock = clock
        self._session_member = session_member
        self._resuming = resuming
        self._session: str | None = None
        self._told_at = float("-inf")
        self._last = ""

    def heard(self, line: str) -> Iterator[Event]:
        """See `Ear.heard`."""
        yield _log(line)
        text = line.strip()
        if not text:
            return
        self._last = text[:SUMMARY_CHARACTERS]
        session = session_in(text, self._session_member)
        if session is not None and session != self._session:
            self._session = session
            yield {"type": "session", "executor_session_id": session}
        now = self._clock.monotonic()
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            yield {"type": "progress", "message": self._last}

    def ending(self, exited: ProcessExited) -> Event:
        """See `Ear.ending`."""
        if exited.exit_code == 0:
            return {"type": "completed", "summary": self._last or "The tool is done and printed nothing."}
        if self._resuming and self._session is None:
            message = f"it could not go on in its session: exit code {exited.exit_code}: {self._last}"
            return failed("session_unresumable", message)
        # Of a tool's exit codes only the shell's own have a known meaning.
        reason = meaning_of(exited.exit_code).reason_code if exited.exit_code >= 126 else "executor_error"
        return failed(reason or "executor_error", f"exit code {exited.exit_code}: {self._last}")


def session_in(line: str, member: str | None) -> str | None:
    """The agent's session id that a line of output names; None where it names none that could be given back.

    What begins with a hyphen could become an option of the program that is given it.
    """
    if member is None or not line.startswith("{") or len(line) > longest_event():
        return None
    try:
        document = strict_json.loads(line)
    except strict_json.JsonInvalid:
        return None
    found = document.get(member) if isinstance(document, dict) else None
    return found if isinstance(found, str) and SESSION_ID.fullmatch(found) else None


def _log(line: str) -> Event:
    return {"type": "log", "message": line, "stream": "stdout"}
