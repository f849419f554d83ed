"""Archive files: a mission a line of JSON, gzip members of some lines each, every member on disk before it counts.

While a run writes, its file ends in `.part` and is locked. A run that dies leaves the part; the next one cuts off what
is half a member, and finishes it. A file is named for when its run began, and never written to again.
"""

import fcntl
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.jsonio import canonical, loads
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry.audit import Callback, Entry, WholeMission
from dragancorp.registry.column_types import UtcTime, Word
from dragancorp.registry.identifiers import new_id
from dragancorp.registry.operations import Stored
from dragancorp.registry.tables import MISSION_EVENTS, MISSIONS, OUTBOX

FORMAT = 1
SUFFIX, PART = ".jsonl.gz", ".part"
GZIP = 31  # zlib's word for: a gzip header and trailer are expected


class ArchivePart:
    """A file that is being written. Closing it keeps the part; `finish` makes it an archive."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.name = path.name.removesuffix(PART)

    @classmethod
    def begin(cls, folder: Path, now: datetime) -> Self:
        """Begin a new file. Raises `data_folder_unusable`."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stamp = utc_text(now).replace(":", "").replace("-", "").partition(".")[0]
            path = folder / f"missions-{stamp}-{new_id('a')}{SUFFIX}{PART}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _sync_folder(folder)
        except OSError as error:
            raise _unusable(folder, error) from error
        return cls(path, descriptor)

    @classmethod
    def left_behind(cls, folder: Path) -> list[Self]:
        """The parts of runs that have died, each cut after its last whole member."""
        parts: list[Self] = []
        for path in sorted(folder.glob(f"*{SUFFIX}{PART}")):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)  # its run is alive
                continue
            if not path.exists():  # its run finished it just now
                os.close(descriptor)
                continue
            part = cls(path, descriptor)
            os.ftruncate(descriptor, sum(size for size, _ in _members(path)))
            parts.append(part)
        return parts

    @property
    def path(self) -> Path:
        """Where it will be."""
        return self._path.with_name(self.name)

    def append(self, missions: Iterable[WholeMission]) -> None:
        """Write missions and wait until they are on disk. Raises `storage_failed`; the member then does not count."""
        text = "".join(f"{canonical(document_of(mission))}\n" for mission in missions)
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            left = memoryview(gzip.compress(text.encode(), mtime=0))
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, end)
            raise DraganError(ErrorCode.STORAGE_FAILED, f"{self._path}: {error.strerror or error}") from error

    def missions(self) -> list[WholeMission]:
        """What stands in it so far."""
        return archived_missions(self._path)

    def finish(self) -> Path | None:
        """Make it an archive; None, and no file, when nothing was written. Raises `data_folder_unusable`."""
        try:
            if os.fstat(self._descriptor).st_size == 0:
                self._path.unlink()
                return None
            self._path.rename(self.path)
            _sync_folder(self._path.parent)
        except OSError as error:
            raise _unusable(self._path.parent, error) from error
        return self.path

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def archived_missions(path: Path) -> list[WholeMission]:
    """The missions of an archive, in the order in which they were written.

    Raises `data_folder_unusable` for a file that cannot be read, `json_invalid` for one that is no archive or is cut.
    """
    missions: list[WholeMission] = []
    size = 0
    try:
        for read, text in _members(path):
            size += read
            missions += (mission_of(loads(line)) for line in text.decode().split("\n") if line)
        cut = path.stat().st_size - size
    except OSError as error:
        raise _unusable(path, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DraganError(ErrorCode.JSON_INVALID, f"{path} is no archive: {error!r}") from error
    if cut:
        raise DraganError(ErrorCode.JSON_INVALID, f"{path} ends in {cut} bytes that are no whole member")
    return missions


def _members(path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole gzip members: how many bytes of the file, and the text. Ends at the first that is not whole."""
    content = path.read_bytes()
    while content:
        member = zlib.decompressobj(GZIP)
        try:
            text = member.decompress(content)
        except zlib.error:
            return
        if not member.eof:
            return
        yield len(content) - len(member.unused_data), text
        content = member.unused_data


# Between missions and lines


def document_of(mission: WholeMission) -> dict[str, Any]:
    """A mission as a line of an archive."""
    stored = mission.stored
    return {
        "format": FORMAT,
        "position": stored.position,
        "row": {field.name: _plain(getattr(stored.row, field.name)) for field in fields(MissionRow)},
        "document": stored.document,
        "assigned": dict(stored.assigned),
        "contract": stored.contract,
        "claim_key": mission.claim_key,
        "ends_at": _plain(mission.ends_at),
        "entries": [{name: _plain(value) for name, value in asdict(entry).items()} for entry in mission.entries],
        "artifacts": [dict(artifact) for artifact in mission.artifacts],
        "receipt": None if mission.receipt is None else dict(mission.receipt),
        "callbacks": [{name: _plain(value) for name, value in asdict(one).items()} for one in mission.callbacks],
    }


def mission_of(line: Mapping[str, Any]) -> WholeMission:
    """The mission of a line. Raises `ValueError`, `KeyError`, `TypeError` for what is no such line."""
    if line["format"] != FORMAT:
        raise ValueError(f"of format {line['format']!r}")
    row = MissionRow(**_typed(MISSIONS.c, line["row"]))
    stored = Stored(
        position=line["position"],
        row=row,
        document=line["document"],
        assigned=line["assigned"],
        contract=line.get("contract", Stored.contract),  # archives of before there were two
    )
    return WholeMission(
        stored=stored,
        claim_key=line["claim_key"],
        ends_at=None if line["ends_at"] is None else datetime.fromisoformat(line["ends_at"]),
        entries=tuple(Entry(**_typed(MISSION_EVENTS.c, entry)) for entry in line["entries"]),
        artifacts=tuple(line["artifacts"]),
        receipt=line["receipt"],
        callbacks=tuple(Callback(**_typed(OUTBOX.c, one)) for one in line["callbacks"]),
    )


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return utc_text(value)
        case StrEnum():
            return value.value
        case Mapping():
            return dict(value)
    return value


def _typed(columns: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the columns of their table give them."""
    typed = dict(values)
    for name, value in values.items():
        kind = columns[name].type
        if value is not None and isinstance(kind, UtcTime):
            typed[name] = datetime.fromisoformat(value)
        elif value is not None and isinstance(kind, Word):
            typed[name] = kind.enumeration(value)
    return typed


def _sync_folder(folder: Path) -> None:
    """A name is on disk only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> DraganError:
    return DraganError(ErrorCode.DATA_FOLDER_UNUSABLE, f"{path}: {error.strerror or error}")
