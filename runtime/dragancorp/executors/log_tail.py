"""What a mission's programs have printed so far: its log files, in the order of their names, read piece by piece."""

import os
from dataclasses import dataclass
from pathlib import Path

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.downloads import opened_below

LOGS = "logs"
MOST_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """Pieces of logs, by artifact name, and the cursor to go on from."""

    pieces: tuple[tuple[str, str], ...]
    cursor: str


def read(folder: Path, cursor: str | None) -> LogPart:
    """What was printed after `cursor`, at most `MOST_BYTES`; nothing new gives no pieces and the same cursor.

    A cursor is `OFFSET:NAME`. Raises `parameter_invalid` for what is none. Links are not followed. Blocks.
    """
    offset, name = _position(cursor)
    pieces: list[tuple[str, str]] = []
    room = MOST_BYTES
    for log in _logs(folder):
        if log < name:
            continue
        start = offset if log == name else 0
        content = _content(folder, log, start, room)
        if content:
            pieces.append((log, content.decode("utf-8", "replace")))
            room -= len(content)
        offset, name = start + len(content), log
        if room <= 0:
            break
    return LogPart(pieces=tuple(pieces), cursor=f"{offset}:{name}")


def _position(cursor: str | None) -> tuple[int, str]:
    if not cursor:
        return 0, ""
    offset, separator, name = cursor.partition(":")
    if not (offset.isascii() and offset.isdigit() and len(offset) <= 15 and separator):
        raise DraganError(ErrorCode.PARAMETER_INVALID, "the cursor is none that this operation gave")
    return int(offset), name


def _logs(folder: Path) -> list[str]:
    try:
        found = [entry.name for entry in os.scandir(folder / LOGS) if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(f"{LOGS}/{name}" for name in found if name.endswith(".log"))


def _content(folder: Path, log: str, start: int, most: int) -> bytes:
    """Whole characters from `start` on."""
    descriptor = opened_below(folder, log)
    if descriptor is None:
        return b""
    try:
        content = os.pread(descriptor, most, start)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    # A character that is cut at the end is left for the next time.
    cut = next((back for back in range(1, 4) if len(content) >= back and content[-back] & 0xC0 == 0xC0), 0)
    if cut and cut < _length(content[-cut]):
        return content[:-cut]
    return content


def _length(first: int) -> int:
    """How many bytes a character has that begins with this one."""
    return 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2
