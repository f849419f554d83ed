"""Broken in what callers were told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from dragancorp.lifecycle.change import Change
from dragancorp.missions.reconciler import Reconciler
from dragancorp.registry import mission_writes, perform, sqlite
from dragancorp.registry.group_commit import GroupCommitWriter, Outcome, tell_all
from dragancorp.registry.operations import Dispatched, DispatchMission, StepMission
from dragancorp.registry.queries import ListMissions
from dragancorp.registry.transaction import Transaction
from dragancorp_contracts.lifecycle import MissionState, MissionTrigger

from . import breaks
from .histories import cancelled_at_work, cancelled_in_the_queue, three_callers

Decide = Callable[..., Any]


@breaks("dispatch-kept", scenario=three_callers)
def answered_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """A caller hears that its mission is stored, and then the transaction fails."""
    commit = GroupCommitWriter._commit_together

    def answered_first(writer: Any, connection: Any, batch: Any) -> None:
        lost = [asked for asked in batch if getattr(asked.operation, "draft", None) is not None]
        if not lost or lost[0].operation.draft.idempotency_key != "first":
            commit(writer, connection, batch)
            return
        connection.command("BEGIN IMMEDIATE")
        for asked in batch:
            tx = Transaction(connection, writer._clock.wall(), writer._scheduler, stopwatch=writer._stopwatch)
            tell_all([Outcome(asked, perform.perform(tx, asked.operation))])
        connection.command("ROLLBACK")

    patch.setattr(GroupCommitWriter, "_commit_together", answered_first)


@breaks("one-mission-a-key", "dispatch-kept", scenario=three_callers)
def keys_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The idempotency key is not looked at."""

    def dispatch(tx: Transaction, operation: DispatchMission) -> Dispatched:
        another = replace(operation.draft, idempotency_key=f"{operation.draft.idempotency_key}-{uuid4()}")
        return mission_writes.dispatch(tx, replace(operation, draft=another))

    patch.setitem(perform.WRITES, DispatchMission, dispatch)  # type: ignore[arg-type]


@breaks("cancel-holds", scenario=cancelled_at_work)
def cancel_lost(patch: pytest.MonkeyPatch) -> None:
    """A cancel of a running mission is answered, and nothing is noted."""
    decide: Decide = mission_writes.decide

    def forgetful(row: Any, command: Any, facts: Any, now: Any) -> Any:
        if command.trigger is MissionTrigger.CANCEL and row.state is MissionState.RUNNING:
            return Change(row=row, transition="C2")
        return decide(row, command, facts, now)

    patch.setattr(mission_writes, "decide", forgetful)


def without_triggers(patch: pytest.MonkeyPatch) -> None:
    """The database's own guards against changes of what has ended are not there."""
    patch.setattr(sqlite, "guards", tuple)


@breaks("terminal-forever", "cancel-holds", "one-terminal-event", "row-agrees", scenario=cancelled_in_the_queue)
def sweep_resurrects(patch: pytest.MonkeyPatch) -> None:
    """A sweep for stuck missions takes a cancelled one for one, and queues it again."""
    without_triggers(patch)
    tick, decide = Reconciler.tick, mission_writes.decide

    def raised_from_the_dead(row: Any, command: Any, facts: Any, now: Any) -> Any:
        if command.trigger is MissionTrigger.LEASE_LOST and row.state is MissionState.CANCELLED:
            return Change(row=replace(row, state=MissionState.QUEUED, reason_code=None), transition="R1")
        return decide(row, command, facts, now)

    async def sweeping(reconciler: Any) -> int:
        page = await reconciler._store.read(ListMissions(state="cancelled"))
        for stored in page.missions:
            command = mission_writes.MissionCommand(trigger=MissionTrigger.LEASE_LOST, by=mission_writes.STORE)
            await reconciler._store.execute(StepMission(mission_id=stored.row.mission_id, command=command))
        return await tick(reconciler)

    patch.setattr(mission_writes, "decide", raised_from_the_dead)
    patch.setattr(Reconciler, "tick", sweeping)
