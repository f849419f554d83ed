"""The named conditions of the lane session's life cycle; their meaning is in `specs/lifecycle`."""

from collections.abc import Callable, Mapping
from datetime import datetime

from dragancorp.lifecycle.commands import SessionCommand
from dragancorp.lifecycle.facts import SessionFacts
from dragancorp.lifecycle.rows import SessionRow

Guard = Callable[[SessionRow, SessionCommand, SessionFacts, datetime], bool]


def _epoch(row: SessionRow, command: SessionCommand, facts: SessionFacts, now: datetime) -> bool:
    return row.held and command.owner == row.lease_owner and command.lease_epoch == row.lease_epoch


def _lease_live(row: SessionRow, command: SessionCommand, facts: SessionFacts, now: datetime) -> bool:
    # Wall clocks that jump expire nothing: a lease lives until its end was observed, which raises the epoch.
    return row.held


PREDICATES: Mapping[str, Guard] = {
    "unheld": lambda row, command, facts, now: not row.held,
    "held": lambda row, command, facts, now: row.held,
    "epoch": _epoch,
    "lease_live": _lease_live,
    "nothing_held": lambda row, command, facts, now: facts.held_missions == 0,
    "no_unfinished_mission": lambda row, command, facts, now: facts.unfinished_missions == 0,
    "observed_expired": lambda row, command, facts, now: facts.observed_expired,
    "drain_open": lambda row, command, facts, now: row.drain_open,
    "executor_replaced": lambda row, command, facts, now: command.outcome == "replaced",
}
