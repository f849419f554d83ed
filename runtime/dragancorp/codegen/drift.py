"""Drift: whether the generated package is what the specs say now."""

import difflib
import tempfile
from pathlib import Path

from dragancorp.codegen.emit import build, files

LINES_SHOWN = 40


def check(specs: Path, out: Path) -> list[str]:
    """What differs, file by file: missing, extra, or changed with the start of a unified diff. Empty: nothing."""
    with tempfile.TemporaryDirectory(prefix="codegen-") as scratch:
        fresh = Path(scratch) / "package"
        build(specs, fresh)
        wanted, present = files(fresh), files(out)
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
