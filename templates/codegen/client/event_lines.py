"""Server-sent events, line by line."""

from ..api.records import ServerEvent

__all__ = ["EventLines"]


class EventLines:
    """Gathers lines until they are an event."""

    def __init__(self) -> None:
        self._data: list[str] = []
        self._event: str | None = None
        self._id: str | None = None

    def take(self, line: str) -> ServerEvent | None:
        """The event that this line ends, or None."""
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
