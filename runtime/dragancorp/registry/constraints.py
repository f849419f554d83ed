"""What the database itself refuses, generated from the life cycles: unknown words, and any change of what has ended.

Code that goes through `decide` never meets these; they stand against everything else that can write the file.
"""

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import CheckConstraint

from dragancorp_contracts.lifecycle import TERMINAL_MISSION_STATES


def words(column: str, enumeration: type[StrEnum], *, nullable: bool = False) -> CheckConstraint:
    """A CHECK that a column holds only words of a generated enumeration."""
    listed = _quoted(member.value for member in enumeration)
    rule = f"{column} IN ({listed})"
    if nullable:
        rule = f"{column} IS NULL OR {rule}"
    return CheckConstraint(rule, name=f"ck_{column}_known")


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


def sqlite_triggers() -> dict[str, str]:
    """Name and DDL of every trigger that keeps ended missions and ledgers as they are (SQLite)."""
    ended = _quoted(state.value for state in TERMINAL_MISSION_STATES)
    triggers = {
        "vp_missions_terminal": (
            f"CREATE TRIGGER vp_missions_terminal BEFORE UPDATE ON vp_missions "
            f"WHEN OLD.state IN ({ended}) "
            f"BEGIN SELECT RAISE(ABORT, 'an ended mission never changes'); END"
        ),
        "vp_missions_attempt": (
            "CREATE TRIGGER vp_missions_attempt BEFORE UPDATE ON vp_missions WHEN NEW.attempt < OLD.attempt "
            "BEGIN SELECT RAISE(ABORT, 'an attempt never falls'); END"
        ),
        "vp_sessions_epoch": (
            "CREATE TRIGGER vp_sessions_epoch BEFORE UPDATE ON vp_sessions WHEN NEW.lease_epoch < OLD.lease_epoch "
            "BEGIN SELECT RAISE(ABORT, 'an epoch never falls'); END"
        ),
    }
    for ledger in ("vp_mission_events", "vp_session_events"):
        triggers[f"{ledger}_immutable"] = (
            f"CREATE TRIGGER {ledger}_immutable BEFORE UPDATE ON {ledger} "
            f"BEGIN SELECT RAISE(ABORT, 'a ledger entry never changes'); END"
        )
    return triggers
