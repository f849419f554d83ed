"""Change control: what a change of the contracts breaks, for whom, by which rule. Imports nothing of the runtime."""

from pathlib import Path

from dragancorp.specdiff import waivers
from dragancorp.specdiff.change import Change
from dragancorp.specdiff.comparison import compare
from dragancorp.specdiff.report import Report
from dragancorp.specdiff.rules import RULES, Audience, Reader, Rule
from dragancorp.specdiff.snapshot import Snapshot, SnapshotUnreadable, read
from dragancorp.specdiff.waivers import Waiver, WaiversInvalid

__all__ = [
    "RULES",
    "Audience",
    "Change",
    "Reader",
    "Report",
    "Rule",
    "Snapshot",
    "SnapshotUnreadable",
    "Waiver",
    "WaiversInvalid",
    "compare",
    "diff",
    "read",
]


def diff(old: str, new: str, *, folder: str = "specs", allow: Path | None = None) -> Report:
    """What changed from `old` to `new`, each a folder of contracts or a git revision whose `folder` holds them.

    Raises `SnapshotUnreadable` and `WaiversInvalid`.
    """
    before, after = read(old, folder=folder), read(new, folder=folder)
    changes, unused = waivers.applied(compare(before, after), waivers.read(allow) if allow is not None else ())
    return Report(old=before, new=after, changes=tuple(changes), unused=tuple(unused))
