"""The index of a mission's artifact folder: what it left behind, with digests."""

import hashlib
import mimetypes
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_FILES = 1000  # as many as a final event may list
MOST_BYTES = 1024 * 1024 * 1024

# A part of `common/v1#/$defs/relative_path`; what cannot be named in an event cannot be an artifact.
_PART = re.compile(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,200}|\.[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,200}")
_DEEPEST = 21
_LONGEST_NAME = 1000
_TEXTS = {".log": "text/plain", ".patch": "text/x-diff", ".diff": "text/x-diff", ".md": "text/markdown"}


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file: `name` is its path below the folder with `/`."""

    name: str
    sha256: str
    size_bytes: int
    media_type: str

    def as_json(self) -> dict[str, Any]:
        """An artifact reference of `specs/common`."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "media_type": self.media_type,
        }


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """One entry that is not an artifact, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ArtifactIndex:
    """All artifacts by name, and what was passed over."""

    artifacts: tuple[Artifact, ...]
    ignored: tuple[Ignored, ...]


def index(folder: Path, *, most_files: int = MOST_FILES, most_bytes: int = MOST_BYTES) -> ArtifactIndex:
    """Read the folder and everything below it. Blocks for as long as hashing takes.

    Symbolic links are never followed; links, pipes, sockets and devices, names that no event can hold, and what goes
    beyond the limits are named in `ignored`. A folder that is not there is empty.
    """
    artifacts: list[Artifact] = []
    ignored: list[Ignored] = []
    left = most_bytes
    for name, fault in _walk(folder, ""):
        if fault is None and len(artifacts) >= most_files:
            fault = f"there are more than {most_files} files"
        if fault is None:
            found = _read(folder / name, name, left)
            if isinstance(found, Artifact):
                artifacts.append(found)
                left -= found.size_bytes
                continue
            fault = found
        if len(ignored) < most_files:
            ignored.append(Ignored(name=name.encode(errors="replace").decode(), reason=fault))
    return ArtifactIndex(artifacts=tuple(artifacts), ignored=tuple(ignored))


def digest_of(folder: Path, name: str) -> tuple[str, int] | None:
    """Digest and size in bytes of one file below the folder; None when it is no artifact. Blocks for the hashing."""
    places = [folder.joinpath(*name.split("/")[:depth]) for depth in range(1, name.count("/") + 1)]
    if any(place.is_symlink() for place in places):
        return None
    found = _read(folder / name, name, MOST_BYTES)
    return (found.sha256, found.size_bytes) if isinstance(found, Artifact) else None


def media_type(name: str) -> str:
    """A guess by the name's ending; `application/octet-stream` when there is none."""
    return _TEXTS.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, str | None]]:
    """(name, why it is no artifact or None) of every entry that is not a good folder, sorted."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        yield prefix.rstrip("/") or ".", f"cannot be read: {error.strerror}"
        return
    for entry in entries:
        name = prefix + entry.name
        if (
            _PART.fullmatch(entry.name) is None
            or entry.name.encode(errors="replace") != os.fsencode(entry.name)
            or len(name) > _LONGEST_NAME
            or name.count("/") >= _DEEPEST
        ):
            yield name, "no event can hold this name"
        elif entry.is_symlink():
            yield name, "a symbolic link"
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, name + "/")
        elif entry.is_file(follow_symlinks=False):
            yield name, None
        else:
            yield name, "not a regular file"


def _read(path: Path, name: str, left: int) -> Artifact | str:
    """The artifact, or why it is none. Opened without following a link or waiting for a pipe put there since."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                return "not a regular file"
            if about.st_size > left:
                return "the artifacts are larger together than the limit"
            digest = hashlib.sha256()
            size = 0
            while chunk := file.read(1024 * 1024):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return Artifact(name=name, sha256=digest.hexdigest(), size_bytes=size, media_type=media_type(name))
