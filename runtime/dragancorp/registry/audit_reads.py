"""Answers to the queries of `audit`, each from one look at the database."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, func, or_, select
from sqlalchemy.engine import Connection

from dragancorp.jsonio import loads
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry import archive, audit
from dragancorp.registry.archive import Archived
from dragancorp.registry.audit import Callback, Counted, CountKey, Entry, WholeMission, WholeMissions, WholeSession
from dragancorp.registry.queries import Query
from dragancorp.registry.rows import SESSION_COLUMNS, STORED_COLUMNS, session_from, stored_from
from dragancorp.registry.statements import word
from dragancorp.registry.tables import (
    ARCHIVED_MISSIONS,
    ARTIFACTS,
    COUNTERS,
    MISSION_EVENTS,
    MISSIONS,
    OUTBOX,
    RECEIPTS,
    SESSION_EVENTS,
    SESSIONS,
    TURN_MINUTES,
)
from dragancorp.registry.transaction import UNFINISHED, is_orphan_signal

ENTRY_COLUMNS = ("position", "sequence", "type", "emitted_at", "document")
CALLBACK_COLUMNS = ("endpoint", "sequence", "status", "attempts", "next_attempt_at", "created_at", "body")


def _read_whole_missions(connection: Connection, query: audit.ReadWholeMissions) -> WholeMissions:
    statement = select(*STORED_COLUMNS, MISSIONS.c.claim_key, MISSIONS.c.ends_at)
    if query.mission_id is not None:
        statement = statement.where(MISSIONS.c.mission_id == query.mission_id)
    else:
        statement = (
            statement.where(MISSIONS.c.position > query.after).order_by(MISSIONS.c.position).limit(query.limit + 1)
        )
    records = connection.execute(statement).all()
    page = [tuple(record) for record in records[: query.limit]]
    more = len(records) > query.limit
    missions = whole_missions(connection, page)
    return WholeMissions(missions=missions, next_after=missions[-1].stored.position if more else None)


def whole_missions(connection: Connection, records: Sequence[Sequence[Any]]) -> tuple[WholeMission, ...]:
    """Missions with all that is stored of them, from records of `STORED_COLUMNS`, claim key and end."""
    stored = [(stored_from(record[:-2]), record[-2], record[-1]) for record in records]
    ids = [mission.row.mission_id for mission, _, _ in stored]
    entries = _grouped(connection, MISSION_EVENTS, (*ENTRY_COLUMNS, "idempotency_key", "report_digest"), ids, Entry)
    callbacks = _grouped(connection, OUTBOX, CALLBACK_COLUMNS, ids, Callback)
    artifacts = _grouped(connection, ARTIFACTS, ("name", "document"), ids, dict, order="name")
    receipts = _grouped(connection, RECEIPTS, ("attempt", "document"), ids, dict, order="attempt")
    return tuple(
        WholeMission(
            stored=mission,
            claim_key=claim_key,
            ends_at=ends_at,
            entries=tuple(entries.get(mission.row.mission_id, ())),
            artifacts=tuple(one["document"] for one in artifacts.get(mission.row.mission_id, ())),
            receipt=next(iter(receipts.get(mission.row.mission_id, ())), None),
            callbacks=tuple(callbacks.get(mission.row.mission_id, ())),
        )
        for mission, claim_key, ends_at in stored
    )


def _grouped(
    connection: Connection,
    of: Table,
    columns: Sequence[str],
    ids: Sequence[str],
    make: Callable[..., Any],
    *,
    order: str = "sequence",
) -> dict[str, list[Any]]:
    statement = (
        select(of.c.mission_id, *(of.c[name] for name in columns))
        .where(of.c.mission_id.in_(ids))
        .order_by(of.c.mission_id, of.c[order])
    )
    found: dict[str, list[Any]] = {}
    for mission_id, *values in connection.execute(statement):
        found.setdefault(mission_id, []).append(make(**dict(zip(columns, values, strict=True))))
    return found


def _read_whole_sessions(connection: Connection, query: audit.ReadWholeSessions) -> tuple[WholeSession, ...]:
    lanes = select(*SESSION_COLUMNS).order_by(SESSIONS.c.vp_id)
    columns = SESSION_EVENTS.c
    ledger = select(columns.vp_id, *(columns[name] for name in ENTRY_COLUMNS)).order_by(columns.sequence)
    if query.vp_id is not None:
        lanes = lanes.where(SESSIONS.c.vp_id == query.vp_id)
        ledger = ledger.where(columns.vp_id == query.vp_id)
    entries: dict[str, list[Entry]] = {}
    for vp_id, *values in connection.execute(ledger):
        entries.setdefault(vp_id, []).append(Entry(**dict(zip(ENTRY_COLUMNS, values, strict=True))))
    rows = [session_from(record)[0] for record in connection.execute(lanes).all()]
    return tuple(WholeSession(row=row, entries=tuple(entries.get(row.vp_id, ()))) for row in rows)


def _recount(connection: Connection, query: audit.Recount) -> Counted:
    counters = COUNTERS.c
    kept: Counter[CountKey] = Counter()
    for vp_id, kind, name, value in connection.execute(
        select(counters.vp_id, counters.kind, counters.name, counters.value)
    ):
        if kind != "probe":
            kept[(vp_id, kind, name)] += int(value)
    found: Counter[CountKey] = Counter()
    found.update(_tallied(connection, MISSIONS, "state", "mission_state"))
    found.update(_tallied(connection, MISSION_EVENTS, "type", "mission_event"))
    found.update(_tallied(connection, SESSION_EVENTS, "type", "session_event"))
    minutes = TURN_MINUTES.c
    turns = select(minutes.vp_id, minutes.reason, func.sum(minutes["count"])).group_by(minutes.vp_id, minutes.reason)
    found.update({(vp_id, "turn", reason): int(count) for vp_id, reason, count in connection.execute(turns)})
    orphans = select(MISSION_EVENTS.c.vp_id, MISSION_EVENTS.c.document).where(
        MISSION_EVENTS.c.document.like('%"lease_lost"%')
    )
    for vp_id, document in connection.execute(orphans):
        found[(vp_id, "orphan_signal", "missions")] += is_orphan_signal(loads(document))
    _count_archived(connection, kept, found)
    return Counted(kept=kept, recounted=found)


def _count_archived(connection: Connection, kept: Counter[CountKey], found: Counter[CountKey]) -> None:
    """Counts are totals: what was archived is in them. It was counted once more when it went, and is held to that."""
    gone = ARCHIVED_MISSIONS.c
    for vp_id, kind, name in [key for key in kept if key[1].startswith("archived_")]:
        found[(vp_id, kind.removeprefix("archived_"), name)] += kept[(vp_id, kind, name)]
        if kind != "archived_mission_state":
            found[(vp_id, kind, name)] = kept[(vp_id, kind, name)]
    found.update(_tallied(connection, ARCHIVED_MISSIONS, "state", "archived_mission_state"))
    for vp_id, entries in connection.execute(select(gone.vp_id, func.sum(gone.last_sequence)).group_by(gone.vp_id)):
        found[(vp_id, "archived_entries", "all")] = int(entries)
        kept[(vp_id, "archived_entries", "all")] = sum(
            value for key, value in kept.items() if key[:2] == (vp_id, "archived_mission_event")
        )


def _read_archivable(connection: Connection, query: archive.ReadArchivable) -> WholeMissions:
    missions = MISSIONS.c
    looked_at = connection.execute(
        select(missions.position, missions.state, missions.finished_at, missions.created_at)
        .where(missions.position > query.after)
        .order_by(missions.position)
        .limit(query.scan)
    ).all()
    old = [
        record.position
        for record in looked_at
        if record.finished_at is not None and record.finished_at < query.before and record.state not in UNFINISHED
    ]
    page = old[: query.limit]
    next_after: int | None = None
    if len(old) > query.limit:
        next_after = page[-1]
    elif len(looked_at) == query.scan and looked_at[-1].created_at < query.before:
        next_after = looked_at[-1].position  # what comes later began later: once that is too young, all is
    chosen = connection.execute(
        select(*STORED_COLUMNS, missions.claim_key, missions.ends_at)
        .where(missions.position.in_(page))
        .order_by(missions.position)
    ).all()
    unsettled = _unsettled(connection, [stored_from(record[:-2]).row for record in chosen])
    found = whole_missions(connection, [tuple(record) for record in chosen])
    settled = tuple(mission for mission in found if mission.stored.row.mission_id not in unsettled)
    return WholeMissions(missions=settled, next_after=next_after)


def _unsettled(connection: Connection, rows: Sequence[MissionRow]) -> set[str]:
    """Missions that somebody waits for: a callback to be delivered, a parent, child or retry that goes on."""
    ids = [row.mission_id for row in rows]
    parents = {row.parent_mission_id for row in rows if row.parent_mission_id is not None}
    waited_for = set(
        connection.execute(
            select(OUTBOX.c.mission_id).where(OUTBOX.c.mission_id.in_(ids), OUTBOX.c.status == "undelivered")
        ).scalars()
    )
    missions = MISSIONS.c
    relatives = connection.execute(
        select(missions.mission_id, missions.parent_mission_id, missions.retry_of).where(
            or_(
                missions.parent_mission_id.in_(ids),
                missions.retry_of.in_(ids),
                missions.mission_id.in_(sorted(parents)),
            ),
            missions.state.in_([word(state) for state in UNFINISHED]),
        )
    ).all()
    going_on = {name for relative in relatives for name in relative if name is not None}
    return waited_for | {
        row.mission_id for row in rows if row.mission_id in going_on or row.parent_mission_id in going_on
    }


def _get_archived(connection: Connection, query: archive.GetArchived) -> Archived | None:
    found = connection.execute(
        select(ARCHIVED_MISSIONS).where(ARCHIVED_MISSIONS.c.mission_id == query.mission_id)
    ).first()
    return None if found is None else Archived(**dict(found._mapping))


def _tallied(connection: Connection, of: Table, column: str, kind: str) -> dict[CountKey, int]:
    grouped = select(of.c.vp_id, of.c[column], func.count()).group_by(of.c.vp_id, of.c[column])
    return {(vp_id, kind, str(word.value)): int(count) for vp_id, word, count in connection.execute(grouped)}


AUDITS: Mapping[type[Query[Any]], Callable[[Connection, Any], Any]] = {
    audit.ReadWholeMissions: _read_whole_missions,
    audit.ReadWholeSessions: _read_whole_sessions,
    audit.Recount: _recount,
    archive.ReadArchivable: _read_archivable,
    archive.GetArchived: _get_archived,
}
