"""Artifacts that come over HTTP: received into the folder where a worker on this host would leave them."""

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors import artifacts
from dragancorp.executors.artifacts import Artifact


async def receive(folder: Path, name: str, sha256: str, parts: AsyncIterator[bytes]) -> Artifact:
    """Store the bytes as `name` below the mission's artifact folder: the whole file or nothing.

    `name` is a `common/v1` relative path. Raises `document_invalid` when the bytes have another digest,
    `data_folder_unusable` when the disk refuses, `workspace_unusable` when a link stands in the way, and whatever
    reading `parts` raises.
    """
    try:
        descriptor, unfinished = await asyncio.to_thread(tempfile.mkstemp, prefix=".upload-", dir=folder.parent)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        digest, size = hashlib.sha256(), 0
        with os.fdopen(descriptor, "wb") as file:
            async for part in parts:
                size += len(part)
                await asyncio.to_thread(_add, file, digest, part)
            await asyncio.to_thread(_sync, file)
        if digest.hexdigest() != sha256:
            raise DraganError(
                ErrorCode.DOCUMENT_INVALID,
                f"the bytes of {name} have the digest {digest.hexdigest()}, not the one that was named",
            )
        await asyncio.to_thread(_place, Path(unfinished), folder, name)
    except OSError as error:
        raise _unusable(folder, error) from error
    finally:
        await asyncio.to_thread(Path(unfinished).unlink, missing_ok=True)
    return Artifact(name=name, sha256=sha256, size_bytes=size, media_type=artifacts.media_type(name))


def missing(folder: Path, references: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the references that no file here answers, byte for byte. Blocks for as long as hashing takes."""
    wanted = {(one["name"], one["sha256"], one["size_bytes"]) for one in references}
    return sorted({name for name, *content in wanted if artifacts.digest_of(folder, name) != tuple(content)})


def _add(file: Any, digest: Any, part: bytes) -> None:
    digest.update(part)
    file.write(part)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _place(unfinished: Path, folder: Path, name: str) -> None:
    """Move the finished file to its place. Every folder on the way is opened without following a link."""
    *below, last = name.split("/")
    opened = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)]
    try:
        for part in below:
            here = opened[-1]
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=here)
            try:
                opened.append(os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here))
            except OSError as error:
                raise DraganError(
                    ErrorCode.WORKSPACE_UNUSABLE, f"{part} in {folder} is no folder that can be written through"
                ) from error
        os.replace(unfinished, last, dst_dir_fd=opened[-1])
        os.fsync(opened[-1])
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _unusable(folder: Path, error: OSError) -> DraganError:
    return DraganError(ErrorCode.DATA_FOLDER_UNUSABLE, f"{folder}: {error.strerror or error}")
