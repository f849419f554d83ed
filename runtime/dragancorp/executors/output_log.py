"""The log of what a program printed: a file, bounded, of which the beginning is said as events too."""

from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from dragancorp.executors.protocol import ProcessOutput

LOG_EVENTS = 200  # lines that are also said as events; all are in the log
LOG_EVENT_CHARACTERS = 4000
LOG_FILE_CHARACTERS = 32 * 1024 * 1024
TAIL_LINES = 20
_TAIL_CHARACTERS = 500


class OutputLog:
    """The log file of one program, with its last lines at hand. A context manager."""

    def __init__(self, file: Path) -> None:
        """Raises `OSError` when the file cannot be made."""
        file.parent.mkdir(parents=True, exist_ok=True)
        # A line at a time: who follows the log sees it when it is said, and a killed worker leaves what was said.
        self._file = file.open("w", encoding="utf-8", errors="replace", newline="", buffering=1)
        self._room = LOG_FILE_CHARACTERS
        self._lines = 0
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, each cut."""
        return tuple(self._tail)

    def write(self, output: ProcessOutput) -> None:
        """Write one piece, as long as there is room."""
        text = output.text if output.partial else output.text + "\n"
        if self._room > 0:
            self._file.write(text[: self._room])
            self._room -= len(text)
            if self._room <= 0:
                self._file.write("\n[the log ends here, the output went on]\n")
        self._tail.append(output.text[:_TAIL_CHARACTERS])

    def said(self, text: str) -> str | None:
        """The text to say as an event; None when enough was said."""
        self._lines += 1
        if self._lines > LOG_EVENTS:
            return None
        if self._lines == LOG_EVENTS:
            return "[more lines are in the log]"
        return text[:LOG_EVENT_CHARACTERS]

    def add(self, output: ProcessOutput) -> str | None:
        """Write one piece; returns the text to say as an event, None when enough was said."""
        self.write(output)
        return self.said(output.text)
