"""The contracts as they stood at one moment: from a folder, or from a git revision without touching the checkout."""

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

__all__ = ["Snapshot", "SnapshotUnreadable", "contract_of", "from_folder", "from_revision", "read"]

_VERSIONED = re.compile(r"^(?P<contract>(?:.+/)?[^/]+/v[0-9]+)/[^/]+$")
_GIT_SECONDS = 60


class SnapshotUnreadable(ValueError):  # noqa: N818 - the name says what is wrong
    """The contracts cannot be read; the message says what is missing or wrong, and where."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Every JSON document and README below a folder of contracts, examples left out."""

    label: str
    """What it was read from, for people: a folder or a revision."""
    documents: dict[str, Any] = field(repr=False)
    """By path below the folder, e.g. `mission-envelope/v1/schema.json`."""
    readmes: dict[str, str] = field(repr=False, default_factory=dict)
    """By contract, e.g. `mission-envelope/v1`."""

    def contracts(self) -> set[str]:
        """The contracts with their versions, e.g. `mission-envelope/v1`; files beside them by their own name."""
        return {contract_of(path) for path in self.documents}

    @cached_property
    def addresses(self) -> dict[str, str]:
        """The path of each document that names itself with `$id`."""
        return {
            str(document["$id"]).rstrip("#"): path
            for path, document in self.documents.items()
            if isinstance(document, dict) and "$id" in document
        }


def contract_of(path: str) -> str:
    """The contract that a file belongs to: its version folder, or the file itself where there is none."""
    found = _VERSIONED.match(path)
    return found["contract"] if found else path.removesuffix(".json")


def read(source: str, *, folder: str = "specs") -> Snapshot:
    """The contracts in a folder, or else in the `folder` of a git revision of the repository at hand.

    Raises `SnapshotUnreadable`.
    """
    return from_folder(Path(source)) if Path(source).is_dir() else from_revision(source, folder=folder)


def from_folder(root: Path) -> Snapshot:
    """The contracts below a folder. Raises `SnapshotUnreadable` for a file that is not JSON, and when there is none."""
    paths = (path for path in sorted(root.rglob("*")) if path.suffix in {".json", ".md"} and path.is_file())
    return _parsed(str(root), ((path.relative_to(root).as_posix(), path.read_bytes()) for path in paths))


def from_revision(revision: str, *, folder: str = "specs", repository: Path | None = None) -> Snapshot:
    """The contracts as they were committed. `folder` is relative to `repository` (default: the current folder).

    Raises `SnapshotUnreadable` when there is no such revision, no such folder in it, or no git.
    """
    at = repository or Path.cwd()
    if revision.startswith("-"):
        raise SnapshotUnreadable(f"{revision!r} is neither a folder nor a revision")
    known = _git(at, "rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}")
    if known.returncode:
        raise SnapshotUnreadable(f"{revision!r} is neither a folder nor a revision of the repository at {at}")
    commit = known.stdout.decode().strip()
    archive = _git(at, "archive", "--format=tar", f"{commit}:./{folder}")
    if archive.returncode:
        raise SnapshotUnreadable(f"revision {revision!r} holds no folder {folder!r} at {at}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        members = [(one.name, tar.extractfile(one)) for one in tar.getmembers() if one.isfile()]
        texts = [(name, held.read()) for name, held in members if held is not None]
    return _parsed(revision, texts)


def _git(at: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # the revision was checked not to be an option, and no shell reads it
            ["git", "-C", str(at), *arguments], capture_output=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SnapshotUnreadable(f"git cannot be asked for a revision: {error}") from error


def _parsed(label: str, files: Iterable[tuple[str, bytes]]) -> Snapshot:
    documents: dict[str, Any] = {}
    readmes: dict[str, str] = {}
    for path, content in files:
        if "examples" in path.split("/"):
            continue
        if path.endswith("README.md"):
            readmes[contract_of(path)] = content.decode("utf-8", errors="replace")
        elif path.endswith(".json"):
            try:
                documents[path] = json.loads(content)
            except ValueError as error:
                raise SnapshotUnreadable(f"{label}: {path} is not JSON: {error}") from error
    if not documents:
        raise SnapshotUnreadable(f"{label} holds no contracts: no JSON file was found")
    return Snapshot(label=label, documents=documents, readmes=readmes)
