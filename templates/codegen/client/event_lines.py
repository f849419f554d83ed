"""Server-sent events out of a text that arrives in pieces."""

import re
from collections.abc import Iterator

from ..api.records import ServerEvent

__all__ = ["EventLines"]

# These three end a line, and nothing else does; what `str.splitlines` takes for an end may stand inside a document.
_LINE_END = re.compile(r"\r\n|\n|\r")


class EventLines:
    """Gathers text until it is an event."""

    def __init__(self) -> None:
        self._rest = ""
        self._data: list[str] = []
        self._event: str | None = None
        self._id: str | None = None

    def take(self, text: str) -> Iterator[ServerEvent]:
        """The events that this piece of text ends."""
        text = self._rest + text
        # A carriage return that ends the piece may be the first half of a line's end.
        held = text.endswith("\r")
        *lines, self._rest = _LINE_END.split(text[:-1] if held else text)
        if held:
            self._rest += "\r"
        for line in lines:
            event = self._line(line)
            if event is not None:
                yield event

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            done = ServerEvent(data="\n".join(self._data), event=self._event, id=self._id) if self._data else None
            self._data, self._event = [], None
            return done
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            self._id = value
        return None
