"""`plane.json` in the data folder: where this host finds the control plane that owns it, and how it is let in."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from dragancorp.errors import DraganError, ErrorCode

NAME = "plane.json"


@dataclass(frozen=True, kw_only=True)
class PlaneFile:
    """What a running control plane leaves for the command line: readable by its own user alone (mode 0600)."""

    url: str
    token: str
    worker_token: str
    pid: int
    instance_id: str


def write(folder: Path, plane: PlaneFile) -> None:
    """Write it whole or not at all. Raises `data_folder_unusable`."""
    try:
        # mkstemp makes the file with mode 0600, so the token is never readable by others, not even for a moment.
        descriptor, name = tempfile.mkstemp(prefix=f".{NAME}.", dir=folder)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(plane), file)
        Path(name).replace(folder / NAME)
    except OSError as error:
        raise DraganError(ErrorCode.DATA_FOLDER_UNUSABLE, f"{folder}: {error.strerror or error}") from error


def read(folder: Path) -> PlaneFile | None:
    """What stands there; None when there is none or it cannot be understood."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return PlaneFile(
            url=str(found["url"]),
            token=str(found["token"]),
            worker_token=str(found["worker_token"]),
            pid=int(found["pid"]),
            instance_id=str(found["instance_id"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(folder: Path) -> None:
    """Take it away if it is ours: a successor may have written its own by now."""
    found = read(folder)
    if found is not None and found.pid == os.getpid():
        (folder / NAME).unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether a process of that number exists, be it ours or another user's."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
