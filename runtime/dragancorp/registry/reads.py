"""Answers to queries, from one read connection."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import and_, false, func, literal_column, or_, select, true
from sqlalchemy.engine import Connection

from dragancorp.jsonio import loads
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.registry import queries, statements
from dragancorp.registry.audit_reads import AUDITS
from dragancorp.registry.comparisons import GetComparison, get_comparison
from dragancorp.registry.operations import HeldMission, Stored
from dragancorp.registry.queries import Query
from dragancorp.registry.rollout_reads import ROLLOUT_READS
from dragancorp.registry.rows import SESSION_COLUMNS, STORED_COLUMNS, held_from, session_from, stored_from
from dragancorp.registry.statements import word
from dragancorp.registry.tables import (
    ARTIFACTS,
    COUNTERS,
    MISSION_EVENTS,
    MISSIONS,
    OUTBOX,
    SESSION_EVENTS,
    SESSIONS,
    TURN_MINUTES,
)
from dragancorp.registry.transaction import UNFINISHED
from dragancorp_contracts.lifecycle import MissionState
from dragancorp_contracts.models.gateway_turn_v1 import Reason

AnswerT = TypeVar("AnswerT")
ROUTING_REASONS = tuple(reason.value for reason in Reason)


def _get_mission(connection: Connection, query: queries.GetMission) -> Stored | None:
    record = connection.execute(select(*STORED_COLUMNS).where(MISSIONS.c.mission_id == query.mission_id)).first()
    return None if record is None else stored_from(record)


def _list_missions(connection: Connection, query: queries.ListMissions) -> queries.Page:
    missions = MISSIONS.c
    statement = select(*STORED_COLUMNS).order_by(missions.position.desc()).limit(query.limit + 1)
    if query.vp_ids is not None:
        statement = statement.where(missions.vp_id.in_(sorted(query.vp_ids)))
    if query.state is not None:
        statement = statement.where(missions.state == query.state)
    if query.parked is not None:
        statement = statement.where(missions.parked == (true() if query.parked else false()))
    if query.before is not None:
        statement = statement.where(missions.position < query.before)
    found = [stored_from(record) for record in connection.execute(statement).all()]
    page = found[: query.limit]
    more = len(found) > query.limit
    return queries.Page(missions=tuple(page), next_position=page[-1].position if more else None)


def _read_ledger(connection: Connection, query: queries.ReadLedger) -> queries.LedgerPart | None:
    stored = _get_mission(connection, queries.GetMission(mission_id=query.mission_id))
    if stored is None:
        return None
    documents = connection.execute(
        select(MISSION_EVENTS.c.document)
        .where(MISSION_EVENTS.c.mission_id == query.mission_id, MISSION_EVENTS.c.sequence > query.after)
        .order_by(MISSION_EVENTS.c.sequence)
        .limit(query.limit)
    ).scalars()
    return queries.LedgerPart(
        events=tuple(loads(document) for document in documents),
        last_sequence=stored.row.last_sequence,
        terminal=stored.row.terminal,
    )


def _read_session_ledger(connection: Connection, query: queries.ReadSessionLedger) -> tuple[Mapping[str, Any], ...]:
    documents = connection.execute(
        select(SESSION_EVENTS.c.document)
        .where(SESSION_EVENTS.c.vp_id == query.vp_id, SESSION_EVENTS.c.sequence > query.after)
        .order_by(SESSION_EVENTS.c.sequence)
        .limit(query.limit)
    ).scalars()
    return tuple(loads(document) for document in documents)


def _lane_records(connection: Connection, *conditions: Any) -> tuple[queries.LaneRecord, ...]:
    columns = (*SESSION_COLUMNS, SESSIONS.c.holder_reads)
    records = connection.execute(select(*columns).where(*conditions).order_by(SESSIONS.c.vp_id)).all()
    unfinished = [state.value for state in UNFINISHED]
    lanes = []
    for record in records:
        row, policy = session_from(record[:-1])
        counts = connection.execute(
            select(COUNTERS.c.name, func.sum(COUNTERS.c.value))
            .where(COUNTERS.c.vp_id == row.vp_id, COUNTERS.c.kind == "mission_state", COUNTERS.c.name.in_(unfinished))
            .group_by(COUNTERS.c.name)
        ).all()
        lanes.append(
            queries.LaneRecord(
                row=row,
                policy=policy,
                unfinished={name: int(value) for name, value in counts},
                holder_reads=_holder_reads(row, record[-1]),
            )
        )
    return tuple(lanes)


def _holder_reads(row: SessionRow, noted: Mapping[str, Any] | None) -> frozenset[str] | None:
    """What the present holder reads; what an earlier one read says nothing of it."""
    return None if noted is None or noted["epoch"] != row.lease_epoch else frozenset(noted["reads"])


def _get_lane(connection: Connection, query: queries.GetLane) -> queries.LaneRecord | None:
    found = _lane_records(connection, SESSIONS.c.vp_id == query.vp_id)
    return found[0] if found else None


def _list_lanes(connection: Connection, query: queries.ListLanes) -> tuple[queries.LaneRecord, ...]:
    return _lane_records(connection)


def _list_overdue(connection: Connection, query: queries.ListOverdue) -> tuple[queries.Overdue, ...]:
    missions, now = MISSIONS.c, query.now
    ended = and_(missions.ends_at.is_not(None), missions.ends_at <= now)
    held_out = and_(missions.hold_expires_at.is_not(None), missions.hold_expires_at <= now)
    undecided = and_(missions.approval_expires_at.is_not(None), missions.approval_expires_at <= now)
    cancelling = missions.cancel_requested_at.is_not(None)
    # One statement a state, so that each uses the partial index of that state. Of those running, of which a lane has
    # only as many as it has slots, all are looked at: a limit would hide what is overdue behind what is in time.
    looks = (
        select(*STORED_COLUMNS).where(missions.state == word(MissionState.QUEUED), ended).limit(query.limit),
        select(*STORED_COLUMNS).where(missions.state == word(MissionState.RUNNING)),
        select(*STORED_COLUMNS)
        .where(missions.state == word(MissionState.BLOCKED), or_(ended, held_out, undecided, cancelling))
        .limit(query.limit),
    )
    rows: list[MissionRow] = []
    for statement in looks:
        rows += [stored_from(record).row for record in connection.execute(statement).all()]
    policies = {row.vp_id: policy for row, policy in map(session_from, connection.execute(select(*SESSION_COLUMNS)))}
    return tuple(
        queries.Overdue(row=row, policy=policies.get(row.vp_id) or LanePolicy(vp_id=row.vp_id)) for row in rows
    )


def _list_held(connection: Connection, query: queries.ListHeld) -> tuple[HeldMission, ...]:
    records = connection.execute(statements.HELD_BY_LANE, {"vp_id": query.vp_id}).all()
    return tuple(held_from(record) for record in records)


def _count_undelivered(connection: Connection, query: queries.CountUndelivered) -> int:
    return int(
        connection.execute(
            select(func.count())
            .select_from(OUTBOX)
            .where(OUTBOX.c.mission_id == query.mission_id, OUTBOX.c.status == literal_column("'undelivered'"))
        ).scalar_one()
    )


def _read_snapshot(connection: Connection, query: queries.ReadSnapshot) -> queries.SnapshotParts:
    counters: dict[str, dict[str, int]] = {}
    for kind, name, value in connection.execute(
        select(COUNTERS.c.kind, COUNTERS.c.name, func.sum(COUNTERS.c.value))
        .where(COUNTERS.c.vp_id == query.vp_id)
        .group_by(COUNTERS.c.kind, COUNTERS.c.name)
    ):
        counters.setdefault(kind, {})[name] = int(value)
    page = _list_missions(connection, queries.ListMissions(vp_ids=frozenset({query.vp_id}), limit=query.mission_limit))
    documents = connection.execute(
        select(MISSION_EVENTS.c.document)
        .where(MISSION_EVENTS.c.vp_id == query.vp_id)
        .order_by(MISSION_EVENTS.c.position.desc())
        .limit(query.event_limit)
    ).scalars()
    return queries.SnapshotParts(
        lane=_get_lane(connection, queries.GetLane(vp_id=query.vp_id)),
        counters=counters,
        missions=page.missions,
        events=tuple(loads(document) for document in documents),
        turn_minutes=_turn_minutes(connection, query),
    )


def _turn_minutes(connection: Connection, query: queries.ReadSnapshot) -> tuple[tuple[datetime, str, int], ...]:
    """A range of the primary key for each reason there is, so that the answer costs the same after years of minutes."""
    if query.turns_since is None:
        return ()
    return tuple(
        (minute, reason, int(count))
        for minute, reason, count in connection.execute(
            select(TURN_MINUTES.c.minute, TURN_MINUTES.c.reason, TURN_MINUTES.c["count"])
            .where(
                TURN_MINUTES.c.vp_id == query.vp_id,
                TURN_MINUTES.c.reason.in_(ROUTING_REASONS),
                TURN_MINUTES.c.minute >= query.turns_since,
            )
            .order_by(TURN_MINUTES.c.minute.desc(), TURN_MINUTES.c.reason)
        )
    )


def _list_artifacts(connection: Connection, query: queries.ListArtifacts) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        connection.execute(
            select(ARTIFACTS.c.document).where(ARTIFACTS.c.mission_id == query.mission_id).order_by(ARTIFACTS.c.name)
        ).scalars()
    )


def _get_queue_place(connection: Connection, query: queries.GetQueuePlace) -> queries.QueuePlace:
    missions, of_lane = MISSIONS.c, {"vp_id": query.vp_id}
    own = connection.execute(
        select(missions.claim_key, missions.position).where(missions.mission_id == query.mission_id)
    ).first()
    ahead = 0
    if own is not None:
        before = or_(
            missions.claim_key < own.claim_key,
            and_(missions.claim_key == own.claim_key, missions.position < own.position),
        )
        queued = and_(missions.vp_id == query.vp_id, missions.state == word(MissionState.QUEUED))
        first_ones = select(missions.position).where(queued, before).limit(queries.COUNTED_AHEAD).subquery()
        ahead = connection.execute(select(func.count()).select_from(first_ones)).scalar_one()
    since = {**of_lane, "since": query.now - timedelta(hours=1)}
    return queries.QueuePlace(
        held_by_lane=len(connection.execute(statements.HELD_BY_LANE, of_lane).all()),
        claims_last_hour=connection.execute(statements.CLAIMS_SINCE, since).scalar_one() if query.with_claims else 0,
        ahead=ahead,
    )


READS: Mapping[type[Query[Any]], Callable[[Connection, Any], Any]] = {
    queries.GetMission: _get_mission,
    queries.ListMissions: _list_missions,
    queries.ReadLedger: _read_ledger,
    queries.ReadSessionLedger: _read_session_ledger,
    queries.GetLane: _get_lane,
    queries.ListLanes: _list_lanes,
    queries.ListOverdue: _list_overdue,
    queries.ListHeld: _list_held,
    queries.CountUndelivered: _count_undelivered,
    queries.ReadSnapshot: _read_snapshot,
    queries.ListArtifacts: _list_artifacts,
    queries.GetQueuePlace: _get_queue_place,
    **AUDITS,
    GetComparison: get_comparison,
    **ROLLOUT_READS,
}


def answer(connection: Connection, query: Query[AnswerT]) -> AnswerT:
    """Answer `query` from this connection."""
    result: AnswerT = READS[type(query)](connection, query)
    return result
