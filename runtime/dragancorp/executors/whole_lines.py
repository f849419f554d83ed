"""Lines put together again from the pieces that a guard cuts long ones into."""

from collections.abc import Iterator

from dragancorp.executors.protocol import ProcessOutput


class WholeLines:
    """Gathers one stream; a line over `limit` characters is given up as pieces, and stops nobody."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[str] = []
        self._length = 0
        self._given_up = False

    def add(self, output: ProcessOutput) -> Iterator[tuple[str, bool]]:
        """What the piece completes, as (text, whether it is a whole line)."""
        if self._given_up:
            self._given_up = output.partial
            yield output.text, False
            return
        self._pieces.append(output.text)
        self._length += len(output.text)
        if self._length > self._limit:
            self._given_up = output.partial
            yield from ((piece, False) for piece in self._take())
        elif not output.partial:
            yield "".join(self._take()), True

    def end(self) -> Iterator[tuple[str, bool]]:
        """What is left when the stream has ended in the middle of a long line."""
        if self._pieces:
            yield "".join(self._take()), True

    def _take(self) -> list[str]:
        pieces, self._pieces, self._length = self._pieces, [], 0
        return pieces
