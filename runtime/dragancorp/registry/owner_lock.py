"""One process owns an SQLite file: a lock beside it, with a note of who holds it.

The lock is the kernel's (`flock`), so it is gone the moment its process is, however that ended. The note is only
for people: it is rewritten by the owner and may be stale when nobody holds the lock.
"""

import fcntl
import json
import os
from pathlib import Path

from dragancorp.errors import DraganError, ErrorCode


class OwnerLock:
    """Exclusive ownership of a database file. Errors: `database_owned`, `data_folder_unusable`."""

    def __init__(self, database: Path) -> None:
        real = Path(os.path.realpath(database))  # one lock, by whatever name the file is called
        self.path = real.with_name(real.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock or say who has it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DraganError(
                ErrorCode.DATA_FOLDER_UNUSABLE, f"{self.path.parent}: {error.strerror or error}"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            note = self._note()
            where = f", serving at {note['url']}" if note.get("url") else ""
            raise DraganError(
                ErrorCode.DATABASE_OWNED,
                f"process {note.get('pid', 'unknown')} owns {self.path.with_suffix('')}{where}",
                facts=note,
            ) from error
        self._descriptor = descriptor
        self.announce(url=None)

    def announce(self, url: str | None) -> None:
        """Note who owns the file and where it can be reached."""
        if self._descriptor is None:
            return
        note = json.dumps({"pid": os.getpid(), "url": url} if url else {"pid": os.getpid()}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, note, 0)

    def release(self) -> None:
        """Let go; the file stays, since removing it would race with the next owner."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _note(self) -> dict[str, object]:
        try:
            note = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}
