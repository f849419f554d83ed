"""Lines out of pieces of text, none longer than a limit."""

from collections.abc import Iterator


class OutputLines:
    """Gathers pieces of one stream into lines; a line over `limit` characters comes in pieces marked partial."""

    def __init__(self, limit: int = 32 * 1024) -> None:
        self._limit = limit
        self._pending: list[str] = []
        self._length = 0

    def feed(self, text: str) -> Iterator[tuple[str, bool]]:
        """The lines that `text` completes, as (line without its newline, whether its end is still to come)."""
        *complete, rest = text.split("\n")
        for line in complete:
            yield from self._add(line)
            yield self._take().removesuffix("\r"), False
        yield from self._add(rest)

    def end(self) -> Iterator[tuple[str, bool]]:
        """What is left when the stream has ended without a newline."""
        if self._pending:
            yield self._take(), False

    def _add(self, text: str) -> Iterator[tuple[str, bool]]:
        while self._length + len(text) > self._limit:
            room = self._limit - self._length
            self._pending.append(text[:room])
            text = text[room:]
            yield self._take(), True
        if text:
            self._pending.append(text)
            self._length += len(text)

    def _take(self) -> str:
        line = "".join(self._pending)
        self._pending.clear()
        self._length = 0
        return line
