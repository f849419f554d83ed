"""Drift: whether the generated package and pages are what the specs say now."""

import difflib
import tempfile
from pathlib import Path

from dragancorp.codegen import record
from dragancorp.codegen.emit import build, files

LINES_SHOWN = 40


def check(specs: Path, out: Path, docs: Path | None = None) -> list[str]:
    """What differs, file by file: missing, extra, or changed with the start of a unified diff. Empty: nothing.

    Where the record in the package says that it was made from just these inputs, and every file still is the one that
    was made then, nothing is made anew.
    """
    if unchanged(specs, out, docs):
        return []
    with tempfile.TemporaryDirectory(prefix="codegen-") as scratch:
        package, pages = Path(scratch) / "package", Path(scratch) / "pages"
        build(specs, package, pages if docs is not None else None)
        differences = _differences(package, out)
        return differences + (_differences(pages, docs) if docs is not None else [])


def unchanged(specs: Path, out: Path, docs: Path | None = None) -> bool:
    """Whether the record vouches for everything that is there."""
    kept = record.read(out)
    if not kept["from"] or not specs.is_dir() or kept["from"] != record.inputs(specs):
        return False
    if record.digests(out, files(out)) != kept["files"]:
        return False
    return docs is None or record.digests(docs, files(docs)) == kept["pages"]


def _differences(fresh: Path, out: Path) -> list[str]:
    # The record itself may differ: other versions of the tools can make the very same files.
    wanted, present = (files(folder) - {Path(record.NAME)} for folder in (fresh, out))
    differences = [f"missing: {name}" for name in sorted(wanted - present)]
    differences += [f"extra: {name}" for name in sorted(present - wanted)]
    for name in sorted(wanted & present):
        before, after = (folder.joinpath(name).read_bytes() for folder in (out, fresh))
        if before != after:
            differences.append(f"changed: {name}\n{_diff(before, after)}")
    return differences


def _diff(before: bytes, after: bytes) -> str:
    lines = difflib.unified_diff(
        before.decode(errors="replace").splitlines(),
        after.decode(errors="replace").splitlines(),
        "as it is",
        "as generated",
        lineterm="",
        n=1,
    )
    shown = list(lines)
    rest = len(shown) - LINES_SHOWN
    return "\n".join(shown[:LINES_SHOWN] + ([f"... and {rest} more lines"] if rest > 0 else []))
