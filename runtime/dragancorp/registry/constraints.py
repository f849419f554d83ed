"""What the database itself refuses, generated from the life cycles: unknown words, and any change of what has ended.

Code that goes through `decide` never meets these; they stand against everything else that can write the file.
"""

from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Guard:
    """An update that a table never takes, and what is said to whoever tries. `when` None: no update at all."""

    name: str
    table: str
    when: str | None
    message: str


def guards() -> tuple[Guard, ...]:
    """What keeps ended missions and ledgers as they are."""
    ended = _quoted(state.value for state in TERMINAL_MISSION_STATES)
    ledgers = ("vp_mission_events", "vp_session_events", "vp_rollout_changes", "vp_rollout_evidence")
    return (
        Guard(
            name="vp_missions_terminal",
            table="vp_missions",
            when=f"OLD.state IN ({ended})",
            message="an ended mission never changes",
        ),
        Guard(
            name="vp_missions_attempt",
            table="vp_missions",
            when="NEW.attempt < OLD.attempt",
            message="an attempt never falls",
        ),
        Guard(
            name="vp_sessions_epoch",
            table="vp_sessions",
            when="NEW.lease_epoch < OLD.lease_epoch",
            message="an epoch never falls",
        ),
        *(
            Guard(name=f"{ledger}_immutable", table=ledger, when=None, message="a ledger entry never changes")
            for ledger in ledgers
        ),
    )


def sqlite_trigger(guard: Guard) -> str:
    """The DDL of a guard on SQLite."""
    when = f"WHEN {guard.when} " if guard.when else ""
    return (
        f"CREATE TRIGGER {guard.name} BEFORE UPDATE ON {guard.table} {when}"
        f"BEGIN SELECT RAISE(ABORT, '{guard.message}'); END"
    )


POSTGRES_REFUSAL = """
CREATE OR REPLACE FUNCTION vp_refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation';
END $$
"""
"""What every guard's trigger calls on PostgreSQL; its argument is the message."""


def postgres_trigger(guard: Guard) -> str:
    """The DDL of a guard on PostgreSQL."""
    when = f"WHEN ({guard.when}) " if guard.when else ""
    return (
        f"CREATE OR REPLACE TRIGGER {guard.name} BEFORE UPDATE ON {guard.table} FOR EACH ROW {when}"
        f"EXECUTE FUNCTION vp_refuse_update('{guard.message}')"
    )
