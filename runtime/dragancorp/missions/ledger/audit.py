"""Verifying the ledgers of a `Store`: every row is rebuilt from its entries, every count is made again.

It only reads, a page of missions at a time, and is as right beside running writers as without any: a page is one look
at the database, in which a row and its entries belong together.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dragancorp.errors import DraganError
from dragancorp.jsonio import JsonInvalid, canonical, loads
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.missions.archive_file import archived_missions
from dragancorp.missions.ledger.chain import Event
from dragancorp.missions.ledger.findings import Finding, Rule, differences, shown
from dragancorp.missions.ledger.mission_replay import replay_mission
from dragancorp.missions.ledger.session_replay import Lease, SessionReplay, replay_session
from dragancorp.registry.archive import GetArchived
from dragancorp.registry.audit import (
    Counted,
    Entry,
    ReadWholeMissions,
    ReadWholeSessions,
    Recount,
    WholeMission,
    WholeSession,
)
from dragancorp.registry.queries import GetMission, Query
from dragancorp.registry.rows import claim_key, ends_at
from dragancorp_contracts.lifecycle import EventType, Holder, MissionState

AnswerT = TypeVar("AnswerT")
PAGE = 100  # missions a look
Leases = Mapping[str, Mapping[int, Lease]]
"""vp_id -> epoch -> who took the lane under it."""


class Reader(Protocol):
    """What can be read from: a `Store`, or a file that nobody owns."""

    async def read(self, query: Query[AnswerT]) -> AnswerT:
        """Answer one query from the last commit."""
        ...


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was looked at, and what was found; `next_after` is where to go on (None: all was seen)."""

    missions: int = 0
    sessions: int = 0
    entries: int = 0
    findings: tuple[Finding, ...] = ()
    next_after: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as `LedgerReport`."""
        return {
            "missions": self.missions,
            "sessions": self.sessions,
            "entries": self.entries,
            "findings": [finding.as_json() for finding in self.findings],
            "next_after": self.next_after,
        }

    def joined(self, later: "Report") -> "Report":
        """Both as one."""
        return Report(
            missions=self.missions + later.missions,
            sessions=self.sessions + later.sessions,
            entries=self.entries + later.entries,
            findings=(*self.findings, *later.findings),
            next_after=later.next_after,
        )


async def verify_store(reader: Reader, *, mission_id: str | None = None, page: int = PAGE) -> Report:
    """Verify everything, or one mission. A mission that is not there gives a report of none."""
    leases: dict[str, Mapping[int, Lease]] = {}
    report = await verify_page(reader, mission_id=mission_id, limit=page, leases=leases)
    while report.next_after is not None:
        report = report.joined(await verify_page(reader, after=report.next_after, limit=page, leases=leases))
    return report


async def verify_page(
    reader: Reader,
    *,
    after: int = 0,
    limit: int = PAGE,
    mission_id: str | None = None,
    leases: dict[str, Mapping[int, Lease]] | None = None,
) -> Report:
    """Verify the missions after a position; with the first page the lanes and the counts too.

    `leases` is what pages before have learnt of the lanes, and learns of them here.
    """
    known = {} if leases is None else leases
    first = after == 0 and mission_id is None
    found = await reader.read(ReadWholeMissions(after=after, limit=limit, mission_id=mission_id))
    report = Report(missions=len(found.missions), next_after=found.next_after)
    if first:
        lanes = await _learn(reader, known)
        counted = await reader.read(Recount())
        report = report.joined(await asyncio.to_thread(_lanes_and_counts, lanes, counted))
    findings = await asyncio.to_thread(_of_missions, found.missions, known)
    if any(one.rule is Rule.LEASE_UNKNOWN for one in findings):
        # The lane may have been taken since it was looked at: looked at after the claim, its ledger knows the lease.
        await _learn(reader, known)
        findings = await asyncio.to_thread(_of_missions, found.missions, known)
    entries = sum(len(mission.entries) for mission in found.missions)
    return report.joined(Report(entries=entries, findings=findings, next_after=found.next_after))


async def verify_archives(paths: Sequence[Path], reader: Reader | None = None) -> Report:
    """Verify every mission of these archives; with a reader also that the database knows them as they are there.

    A mission may stand in two archives, or still in the database, when a run died: it must be the same one then.
    """
    leases: dict[str, Mapping[int, Lease]] = {}
    if reader is not None:
        await _learn(reader, leases)
    report, seen = Report(), dict[str, str | None]()
    for path in paths:
        findings: list[Finding] = []
        missions = entries = 0
        try:
            for mission in await asyncio.to_thread(archived_missions, path):
                row = mission.stored.row
                missions, entries = missions + 1, entries + len(mission.entries)
                findings += mission_findings(mission, leases if reader is not None else None)
                known = {seen.setdefault(row.mission_id, row.last_digest), await _digest_in(reader, mission)}
                if known - {row.last_digest}:
                    findings.append(_of_archive(path, f"{row.mission_id} is another one elsewhere, or nowhere known"))
        except DraganError as unreadable:
            findings.append(_of_archive(path, unreadable.detail))
        report = report.joined(Report(missions=missions, entries=entries, findings=tuple(findings)))
    return report


async def _digest_in(reader: Reader | None, mission: WholeMission) -> str | None:
    """The last digest under which the database knows an archived mission; None: it knows none of that name."""
    row = mission.stored.row
    if reader is None:
        return row.last_digest
    archived = await reader.read(GetArchived(mission_id=row.mission_id))
    if archived is not None:
        return archived.last_digest
    stored = await reader.read(GetMission(mission_id=row.mission_id))
    return None if stored is None else stored.row.last_digest


def _of_archive(path: Path, detail: str) -> Finding:
    return Finding(subject="archive", id=path.name, rule=Rule.ARCHIVE_DIFFERS, detail=detail)


async def _learn(reader: Reader, leases: dict[str, Mapping[int, Lease]]) -> list[tuple[WholeSession, SessionReplay]]:
    lanes = [(lane, _session_replay(lane)) for lane in await reader.read(ReadWholeSessions())]
    leases.update({lane.row.vp_id: replay.leases for lane, replay in lanes})
    return lanes


def _lanes_and_counts(lanes: Sequence[tuple[WholeSession, SessionReplay]], counted: Counted) -> Report:
    found = [one for lane, replay in lanes for one in session_findings(lane, replay)]
    return Report(
        sessions=len(lanes),
        entries=sum(len(lane.entries) for lane, _ in lanes),
        findings=(*found, *count_findings(counted)),
    )


def _of_missions(missions: Sequence[WholeMission], leases: Leases) -> tuple[Finding, ...]:
    return tuple(one for mission in missions for one in mission_findings(mission, leases))


# Missions


def mission_findings(mission: WholeMission, leases: Leases | None) -> Iterator[Finding]:
    """Everything that differs of one mission. Pure. Without `leases` claims are not held against the lane's ledger."""
    stored = mission.stored
    row = stored.row

    def finding(rule: Rule, detail: str, sequence: int | None = None) -> Finding:
        return Finding(subject="mission", id=row.mission_id, rule=rule, sequence=sequence, detail=detail)

    try:
        envelope = loads(stored.document)
        events = [loads(entry.document) for entry in mission.entries]
    except JsonInvalid as error:
        yield finding(Rule.DOCUMENT_UNREADABLE, f"a document is no JSON: {error}")
        return
    for entry, event in zip(mission.entries, events, strict=True):
        for detail in _column_differences(entry, event, mission_id=row.mission_id, vp_id=row.vp_id):
            yield finding(Rule.ENTRY_DIFFERS, detail, entry.sequence)
    replay = replay_mission(envelope, stored.assigned, events)
    yield from replay.findings
    if replay.row is not None:
        compared = (field.name for field in fields(MissionRow) if not _renewed(field.name, row))
        for _, detail in differences(replay.row, row, compared):
            yield finding(Rule.ROW_DIFFERS, detail)
        if (mission.claim_key, mission.ends_at) != (claim_key(replay.row), ends_at(replay.row)):
            yield finding(Rule.ROW_DIFFERS, "its place in the queue is not what its envelope gives")
    elif events and (row.last_sequence, row.last_digest) != (events[-1].get("sequence"), events[-1].get("digest")):
        yield finding(Rule.ROW_DIFFERS, "the row does not end where its ledger does")
    if leases is not None:
        for event in events:
            if event.get("type") == EventType.MISSION_ACCEPTED and not _leased(event, leases):
                detail = f"the lane's ledger knows no lease of epoch {event.get('lease_epoch')} for this claim"
                yield finding(Rule.LEASE_UNKNOWN, detail, event.get("sequence"))
    yield from _what_came_with_it(mission, events)


def _renewed(name: str, row: MissionRow) -> bool:
    return name == "hold_expires_at" and row.holder is Holder.PRIMARY


def _column_differences(entry: Entry, event: Event, **fixed: str) -> Iterator[str]:
    columns: dict[str, Any] = {
        "sequence": entry.sequence,
        "type": str(entry.type),
        "idempotency_key": entry.idempotency_key,
        **fixed,
    }
    for name, value in columns.items():
        if event.get(name) != value:
            yield f"the column {name} is {shown(value)}, the entry says {shown(event.get(name))}"
    if datetime.fromisoformat(event.get("emitted_at", "")) != entry.emitted_at:
        yield f"the column emitted_at is {shown(entry.emitted_at)}, the entry says {shown(event.get('emitted_at'))}"
    if entry.document != canonical(event):
        yield "the document is not in its canonical form"


def _leased(event: Event, leases: Leases) -> bool:
    lease = leases.get(event.get("vp_id", ""), {}).get(event.get("lease_epoch", 0))
    taken = Lease(owner=event.get("actor", {}).get("name"), vp_runtime_id=event.get("vp_runtime_id"))
    return lease == taken


def _what_came_with_it(mission: WholeMission, events: Sequence[Event]) -> Iterator[Finding]:
    row = mission.stored.row

    def finding(rule: Rule, detail: str, sequence: int | None = None) -> Finding:
        return Finding(subject="mission", id=row.mission_id, rule=rule, sequence=sequence, detail=detail)

    index = events[-1].get("artifact_index") if events else None
    if row.terminal and index is not None and list(index) != [dict(one) for one in mission.artifacts]:
        yield finding(Rule.ARTIFACT_DIFFERS, "the final entry's index is not what is stored", row.last_sequence)
    if row.state is MissionState.COMPLETED and row.completed_via == Holder.LANE and mission.receipt is None:
        yield finding(Rule.RECEIPT_MISSING, "a lane completed it, and its receipt is gone")
    bodies = {callback.sequence: callback for callback in mission.callbacks}
    if row.callback_url is None:
        events = []
    for event in events:
        callback = bodies.pop(event.get("sequence", 0), None)
        if callback is None or (callback.body, callback.endpoint) != (canonical(event), row.callback_url):
            detail = "its callback is missing" if callback is None else "its callback says something else"
            yield finding(Rule.CALLBACK_DIFFERS, detail, event.get("sequence"))
    for sequence in bodies:
        yield finding(Rule.CALLBACK_DIFFERS, "a callback for which there is no entry", sequence)


# Lanes and counts


def _session_replay(lane: WholeSession) -> SessionReplay:
    try:
        events = [loads(entry.document) for entry in lane.entries]
    except JsonInvalid as error:
        broken = Finding(
            subject="session", id=lane.row.vp_id, rule=Rule.DOCUMENT_UNREADABLE, detail=f"an entry is no JSON: {error}"
        )
        return SessionReplay(row=None, leases={}, findings=(broken,))
    return replay_session(lane.row.vp_id, events)


def session_findings(lane: WholeSession, replay: SessionReplay) -> Iterator[Finding]:
    """Everything that differs of one lane session. Pure."""

    def finding(rule: Rule, detail: str, sequence: int | None = None) -> Finding:
        return Finding(subject="session", id=lane.row.vp_id, rule=rule, sequence=sequence, detail=detail)

    yield from replay.findings
    if any(one.rule is Rule.DOCUMENT_UNREADABLE for one in replay.findings):
        return
    for entry in lane.entries:
        for detail in _column_differences(entry, loads(entry.document), vp_id=lane.row.vp_id):
            yield finding(Rule.ENTRY_DIFFERS, detail, entry.sequence)
    if replay.row is not None:
        outside = {"heartbeat_at", "beat", "updated_at"} | ({"lease_expires_at"} if lane.row.held else set())
        compared = (field.name for field in fields(SessionRow) if field.name not in outside)
        for _, detail in differences(replay.row, lane.row, compared):
            yield finding(Rule.ROW_DIFFERS, detail)


def count_findings(counted: Counted) -> Iterator[Finding]:
    """Counts that a recount does not give."""
    for key in sorted({*counted.kept, *counted.recounted}):
        kept, recounted = counted.kept.get(key, 0), counted.recounted.get(key, 0)
        if kept != recounted:
            vp_id, kind, name = key
            detail = f"{kind} {name} of {vp_id} is kept as {kept}, a recount gives {recounted}"
            yield Finding(subject="counter", id="/".join(key), rule=Rule.COUNTER_DIFFERS, detail=detail)
