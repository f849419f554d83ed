"""The functional core: `decide(row, command, facts, now)` is pure and driven by the tables of `specs/lifecycle`."""

from datetime import datetime
from typing import overload

from dragancorp.lifecycle.change import Change, Refusal
from dragancorp.lifecycle.commands import MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import MissionFacts, SessionFacts
from dragancorp.lifecycle.mission import decide_mission
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.lifecycle.session import decide_session

__all__ = ["Change", "Refusal", "decide"]


@overload
def decide(
    row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime
) -> Change[MissionRow] | Refusal: ...


@overload
def decide(
    row: SessionRow, command: SessionCommand, facts: SessionFacts, now: datetime
) -> Change[SessionRow] | Refusal: ...


def decide(
    row: MissionRow | SessionRow,
    command: MissionCommand | SessionCommand,
    facts: MissionFacts | SessionFacts,
    now: datetime,
) -> Change[MissionRow] | Change[SessionRow] | Refusal:
    """The one opinion on what a command does: the new row, its events and callbacks, or the refusal."""
    if isinstance(row, MissionRow) and isinstance(command, MissionCommand) and isinstance(facts, MissionFacts):
        return decide_mission(row, command, facts, now)
    if isinstance(row, SessionRow) and isinstance(command, SessionCommand) and isinstance(facts, SessionFacts):
        return decide_session(row, command, facts, now)
    raise TypeError("row, command and facts must be of one machine")
