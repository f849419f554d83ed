"""Answers to queries about rollouts, from one read connection."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from dragancorp.jsonio import loads
from dragancorp.lifecycle.rollout import RolloutRow
from dragancorp.registry import rollouts
from dragancorp.registry.queries import Query
from dragancorp.registry.rollout_writes import COLUMNS, rollout_from
from dragancorp.registry.rows import STORED_COLUMNS, stored_from
from dragancorp.registry.tables import (
    COUNTERS,
    MISSIONS,
    ROLLOUT_CHANGES,
    ROLLOUT_EVIDENCE,
    SESSION_EVENTS,
    TURN_MINUTES,
)
from dragancorp_contracts.lifecycle import TERMINAL_MISSION_STATES, MissionKind


def _list_rollouts(connection: Connection, query: rollouts.ListRollouts) -> Mapping[str, RolloutRow]:
    rows = map(rollout_from, connection.execute(select(*COLUMNS)).all())
    return {row.vp_id: row for row in rows}


def _read_changes(connection: Connection, query: rollouts.ReadChanges) -> tuple[Mapping[str, Any], ...]:
    table = ROLLOUT_CHANGES.c
    statement = select(table.document).where(table.vp_id == query.vp_id).order_by(table.sequence.desc())
    return tuple(loads(document) for document in connection.execute(statement.limit(query.limit)).scalars())


def _read_evidence(connection: Connection, query: rollouts.ReadEvidence) -> tuple[Mapping[str, Any], ...]:
    table = ROLLOUT_EVIDENCE.c
    statement = select(table.document).where(table.vp_id == query.vp_id).order_by(table.sequence.desc())
    if query.before is not None:
        statement = statement.where(table.sequence < query.before)
    return tuple(loads(document) for document in connection.execute(statement.limit(query.limit)).scalars())


def _read_observed(connection: Connection, query: rollouts.ReadObserved) -> rollouts.Observed:
    missions = MISSIONS.c
    kind = missions.kind == MissionKind.SHADOW if query.shadow else missions.kind == MissionKind.DELEGATED
    found = connection.execute(
        select(*STORED_COLUMNS)
        .where(
            missions.vp_id == query.vp_id,
            missions.position > query.after_position,
            kind,
            missions.traffic.in_(sorted(query.traffic)),
            missions.state.in_(sorted(TERMINAL_MISSION_STATES)),
        )
        .order_by(missions.position.desc())
        .limit(query.limit)
    ).all()
    events = SESSION_EVENTS.c
    entries = select(events.document).where(events.vp_id == query.vp_id).order_by(events.sequence.desc())
    turns = select(TURN_MINUTES.c.reason, func.sum(TURN_MINUTES.c["count"])).where(TURN_MINUTES.c.vp_id == query.vp_id)
    if query.since is not None:
        entries = entries.where(events.emitted_at >= query.since)
        turns = turns.where(TURN_MINUTES.c.minute >= query.since.replace(second=0, microsecond=0))
    documents = connection.execute(entries.limit(query.entries)).scalars().all()
    return rollouts.Observed(
        missions=tuple(stored_from(record).row for record in found),
        session_events=tuple(loads(document) for document in reversed(documents)),
        turns={reason: int(count) for reason, count in connection.execute(turns.group_by(TURN_MINUTES.c.reason)).all()},
    )


def _read_counters(
    connection: Connection, query: rollouts.ReadCounters
) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    counters = COUNTERS.c
    key = (counters.vp_id, counters.kind, counters.name)
    found: dict[str, dict[str, dict[str, int]]] = {}
    for vp_id, kind, name, value in connection.execute(select(*key, func.sum(counters.value)).group_by(*key)).all():
        found.setdefault(vp_id, {}).setdefault(kind, {})[name] = int(value)
    return found


def _read_marks(connection: Connection, query: rollouts.ReadMarks) -> Mapping[str, int]:
    counters = COUNTERS.c
    statement = select(counters.vp_id, func.sum(counters.value)).where(
        counters.kind.in_(["mission_event", "session_event"])
    )
    return {vp_id: int(value) for vp_id, value in connection.execute(statement.group_by(counters.vp_id)).all()}


ROLLOUT_READS: Mapping[type[Query[Any]], Callable[[Connection, Any], Any]] = {
    rollouts.ListRollouts: _list_rollouts,
    rollouts.ReadChanges: _read_changes,
    rollouts.ReadEvidence: _read_evidence,
    rollouts.ReadObserved: _read_observed,
    rollouts.ReadMarks: _read_marks,
    rollouts.ReadCounters: _read_counters,
}
