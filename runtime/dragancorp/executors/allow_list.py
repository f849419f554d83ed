"""Which commands a lane may run."""

import re
import shlex
from collections.abc import Iterable, Sequence


class AllowList:
    """The `allow` entries of an automation lane: beginnings of commands, as a shell would split them into words.

    A command is allowed when its first words match all words of an entry. The first word, the program, must be the
    very same; in the others `*` stands for any characters and `?` for one. Raises `ValueError` for an entry
    whose quotes do not close.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = [words for entry in entries if (words := shlex.split(entry))]

    def allows(self, command: Sequence[str]) -> bool:
        """Whether the command matches an entry."""
        return any(
            len(command) >= len(words)
            and command[0] == words[0]
            and all(_matches(pattern, word) for pattern, word in zip(words[1:], command[1:], strict=False))
            for words in self._entries
        )


def _matches(pattern: str, word: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, word, re.DOTALL) is not None
