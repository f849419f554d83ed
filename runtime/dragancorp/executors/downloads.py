"""Artifacts on their way out: a file of a mission's artifact folder, opened without following a link, whole or a range.

What is sent is what the mission left: the digest is computed when a file is first asked for, and again when the file
is another one by its inode, size or time.
"""

import asyncio
import hashlib
import io
import os
import re
import stat
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 256 * 1024
DIGESTS_KNOWN = 4096
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class RangeUnsatisfiableError(Exception):
    """No byte of the file is in the range."""


@dataclass(frozen=True)
class Part:
    """Bytes of a file, from `start` to before `end`."""

    start: int
    end: int

    def content_range(self, size: int) -> str:
        """As the header of that name has it."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def part_of(header: str | None, size: int) -> Part | None:
    """The one range that a `Range` header asks for; None for none, several, or what is no range of bytes.

    Raises `RangeUnsatisfiableError`.
    """
    found = RANGE.fullmatch((header or "").strip())
    if found is None or found.group(0) == "bytes=-":
        return None
    first, last = found.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
        if int(last) == 0:
            raise RangeUnsatisfiableError
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return None  # no range at all, by the grammar
    if start >= size:
        raise RangeUnsatisfiableError
    return Part(start, end)


def matches(header: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` header names this ETag."""
    known = [one.strip().removeprefix("W/") for one in (header or "").split(",")]
    return "*" in known or etag in known


def opened(folder: Path, name: str, sha256: str, size: int) -> int | None:
    """A descriptor of the artifact, to be closed by the caller; None where the file is gone or another one. Blocks.

    Every folder on the way is opened without following a link, and what is hashed is what the descriptor reads.
    """
    descriptor = opened_below(folder, name)
    if descriptor is None:
        return None
    about = os.fstat(descriptor)
    same = stat.S_ISREG(about.st_mode) and about.st_size == size
    if same and _digest(descriptor, (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)) == sha256:
        return descriptor
    os.close(descriptor)
    return None


def opened_below(folder: Path, name: str) -> int | None:
    """A descriptor of a file below a folder, no link followed on the way; None where there is none."""
    words = name.split("/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        for depth, word in enumerate(words, 1):
            inner = flags if depth == len(words) else flags | os.O_DIRECTORY
            try:
                opened_part = os.open(word, inner, dir_fd=here)
            finally:
                os.close(here)
            here = opened_part
    except OSError:
        return None
    return here


_KNOWN: "OrderedDict[tuple[int, ...], str]" = OrderedDict()


def _digest(descriptor: int, identity: tuple[int, ...]) -> str:
    """The digest of the file, computed once for what is the same file by device, inode, size and time."""
    known = _KNOWN.get(identity)
    if known is not None:
        return known
    digest, at = hashlib.sha256(), 0
    while piece := os.pread(descriptor, CHUNK_BYTES, at):
        digest.update(piece)
        at += len(piece)
    _KNOWN[identity] = digest.hexdigest()
    while len(_KNOWN) > DIGESTS_KNOWN:
        _KNOWN.popitem(last=False)
    return _KNOWN[identity]


def parts(descriptor: int, part: Part) -> AsyncIterator[bytes]:
    """The bytes, piece by piece; the descriptor is closed at the end, however it comes, also before the first piece."""
    file = os.fdopen(descriptor, "rb", buffering=0)
    pieces = _pieces(file, part)
    # A generator that was never begun runs no `finally`: a reader may leave before the first byte.
    weakref.finalize(pieces, file.close)
    return pieces


async def _pieces(file: io.FileIO, part: Part) -> AsyncIterator[bytes]:
    with file:
        at = part.start
        while at < part.end:
            piece = await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK_BYTES, part.end - at), at)
            if not piece:
                return  # cut while it was read: the length that was promised tells the reader
            at += len(piece)
            yield piece
