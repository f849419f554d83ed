"""What goes to the terminal: data on stdout, everything else on stderr.

Text that a lane, a caller or a server wrote is untrusted. It is shown, never obeyed: control characters are printed
as escapes, and nothing here interprets markup.
"""

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

# Joiners hold emoji and letters of several scripts together and move nothing on the screen.
_HARMLESS = frozenset("\u200c\u200d")
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(value: object) -> str:
    """The text on one line, with control characters, direction marks and line breaks as visible escapes."""
    return "".join(_shown(character) for character in str(value))


def _shown(character: str) -> str:
    if character in _HARMLESS or unicodedata.category(character) not in _ESCAPED:
        return character
    return character.encode("unicode_escape").decode("ascii")


def data(text: str) -> None:
    """A line of data on stdout, at once."""
    print(text, flush=True)


def document(value: Any, *, one_line: bool = False) -> None:
    """A JSON document on stdout, in ASCII, so that no text in it can reach the terminal as a control character."""
    data(json.dumps(value, indent=None if one_line else 2, separators=(",", ":") if one_line else None))


def note(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def watched() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows as a table for people; tab-separated lines under a line of names when nobody watches."""
    texts = [["" if cell is None else plain(cell) for cell in row] for row in rows]
    if not watched():
        for line in (columns, *texts):
            data("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        # What may be copied stays whole; the last column, which is for reading, gives way.
        last = index == len(columns) - 1
        width = None if last else max(len(line[index]) for line in (columns, *texts))
        drawn.add_column(column, no_wrap=True, min_width=width)
    for line in texts:
        drawn.add_row(*(Text(cell) for cell in line))
    Console(highlight=False).print(drawn)


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """Names and values, a line each; a value that is None is left out."""
    shown = [(name, plain(value)) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        data(f"{name:<{width}}  {value}")
