"""An entry of a tokens file: judged, and added to the file without ever leaving half of one."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.jsonio import loads
from dragancorp.rules import violations
from dragancorp.tokens_file import read_tokens

_OPTIONS = {
    "name": "--name",
    "scopes": "--scope",
    "vp_ids": "--vp",
    "source_instance_id": "--source",
    "expires_at": "--expires-in",
}


def refuse_unfit(entry: Mapping[str, Any]) -> None:
    """Wrong usage when the entry breaks the contract, naming the option."""
    for violation in violations("tokens", {"tokens": [entry]}):
        member = violation.pointer.removeprefix("/tokens/0/").partition("/")[0]
        raise typer.BadParameter(violation.message, param_hint=_OPTIONS.get(member))


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Add the entry to a tokens file; a new file is readable by its owner alone (mode 0600).

    Raises `tokens_file_invalid` when the file is broken or cannot be written, `document_invalid` when the entry does
    not fit in, such as a name that is there already. The file is unchanged then.
    """
    target = path.resolve()  # a link keeps pointing where it does
    with _alone(target):
        entries: list[Any] = []
        mode = 0o600
        if target.exists():
            read_tokens(target)
            entries = loads(target.read_bytes())["tokens"]
            mode = target.stat().st_mode & 0o777
        document = {"tokens": [*entries, dict(entry)]}
        broken = violations("tokens", document)
        if broken:
            raise DraganError(
                ErrorCode.DOCUMENT_INVALID, f"{path} cannot take it: {broken[0].message}", violations=broken
            )
        try:
            _replace(target, json.dumps(document, indent=2) + "\n", mode)
        except OSError as error:
            raise _unusable(path, error) from error


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One writer at a time, by a lock on the folder, so that of two entries made at once none is lost."""
    try:
        descriptor = os.open(target.parent, os.O_RDONLY)
    except OSError as error:
        raise _unusable(target, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(target: Path, text: str, mode: int) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _unusable(path: Path, error: OSError) -> DraganError:
    return DraganError(ErrorCode.TOKENS_FILE_INVALID, f"{path}: {error.strerror or error}")
