"""Broken in what is written: by whom, in which order, and whether at all."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import bindparam, select

from dragancorp.lifecycle import mission, mission_events
from dragancorp.lifecycle.change import Change
from dragancorp.lifecycle.ledger_entry import chained
from dragancorp.lifecycle.mission_guards import PREDICATES
from dragancorp.registry import mission_writes, statements
from dragancorp.registry.rows import STORED_COLUMNS
from dragancorp.registry.tables import MISSIONS
from dragancorp.registry.transaction import Transaction
from dragancorp_contracts.lifecycle import EventType, Holder, MissionState, MissionTrigger

from . import breaks
from .callers import without_triggers
from .histories import late_word, poison, two_slots, zombie


@breaks("one-holder", scenario=two_slots)
def claimed_twice(patch: pytest.MonkeyPatch) -> None:
    """A claim does not look whether somebody works on the mission already."""
    decide = mission_writes.decide
    everything = (
        select(*STORED_COLUMNS)
        .where(
            MISSIONS.c.vp_id == bindparam("vp_id"),
            MISSIONS.c.created_at <= bindparam("now"),
            MISSIONS.c.finished_at.is_(None),
        )
        .limit(bindparam("how_many"))
    )

    def careless(row: Any, command: Any, facts: Any, now: Any) -> Any:
        if command.trigger is MissionTrigger.CLAIM:
            row = replace(row, state=MissionState.QUEUED, holder=Holder.NONE)
        return decide(row, command, facts, now)

    patch.setattr(statements, "candidates", lambda reads: everything)
    patch.setattr(mission_writes, "decide", careless)


@breaks("no-stale-write", scenario=zombie)
def writes_unfenced(patch: pytest.MonkeyPatch) -> None:
    """Whoever reports is believed."""
    patch.setitem(PREDICATES, "fence", lambda row, command, facts, now: True)  # type: ignore[arg-type]


@breaks("one-terminal-event", "terminal-forever", "outbox-agrees", "no-stale-write", "row-agrees", scenario=late_word)
def entry_after_the_end(patch: pytest.MonkeyPatch) -> None:
    """A late report of an ended mission goes into its ledger."""
    without_triggers(patch)
    decide = mission_writes.decide

    def talkative(row: Any, command: Any, facts: Any, now: Any) -> Any:
        if not (row.terminal and command.trigger is MissionTrigger.REPORT):
            return decide(row, command, facts, now)
        change = decide(replace(row, state=MissionState.RUNNING, holder=Holder.LANE), command, facts, now)
        return Change(
            row=replace(change.row, state=row.state, holder=row.holder), events=change.events, transition="M4"
        )

    patch.setattr(mission_writes, "decide", talkative)


@breaks("outbox-agrees", scenario=late_word)
def callback_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The callback of the end is not written with it."""
    callbacks = mission.callbacks
    patch.setattr(mission, "callbacks", lambda row, events: () if row.terminal else callbacks(row, events))


@breaks("no-sequence-gap", scenario=late_word)
def sequence_skipped(patch: pytest.MonkeyPatch) -> None:
    """A number of the ledger is left out."""

    def skipping(entry: Any, *, sequence: int, previous_digest: str | None) -> Any:
        return chained(entry, sequence=sequence + (sequence == 3), previous_digest=previous_digest)

    patch.setattr(mission_events, "chained", skipping)


@breaks("no-sequence-gap", scenario=late_word)
def chain_broken(patch: pytest.MonkeyPatch) -> None:
    """An entry does not name the one before."""

    def unchained(entry: Any, *, sequence: int, previous_digest: str | None) -> Any:
        return chained(entry, sequence=sequence, previous_digest=None if sequence == 3 else previous_digest)

    patch.setattr(mission_events, "chained", unchained)


@breaks("row-agrees", "one-terminal-event", "outbox-agrees", scenario=late_word)
def end_without_an_entry(patch: pytest.MonkeyPatch) -> None:
    """The row says completed, the ledger does not."""
    append = Transaction._append

    def silent(tx: Any, change: Any, *more: Any) -> None:
        events = tuple(event for event in change.events if event["type"] != EventType.MISSION_COMPLETED.value)
        append(tx, replace(change, events=events), *more)

    patch.setattr(Transaction, "_append", silent)


@breaks("poison-parked", scenario=poison)
def poison_given_out_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Nobody counts how often a mission has killed its worker."""
    left = PREDICATES["retry_left"]
    patch.setitem(  # type: ignore[misc]
        PREDICATES,  # type: ignore[arg-type]
        "retry_left",
        lambda row, command, facts, now: left(replace(row, failures=0), command, facts, now),
    )
