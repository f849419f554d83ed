"""Missions as callers see them: dispatch, read, cancel. Judging the envelope comes first, then the registry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode, Violation
from dragancorp.executors.unfit import Unfit
from dragancorp.jsonio import canonical, loads
from dragancorp.lifecycle.commands import By, MissionCommand
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.missions.children import excess_over_parent
from dragancorp.missions.envelopes import draft, whole
from dragancorp.missions.ledger_readers import LedgerReaders
from dragancorp.registry.archive import Archived, GetArchived
from dragancorp.registry.operations import Dispatched, DispatchMission, StepMission, Stepped, Stored
from dragancorp.registry.port import Store, mission_topic
from dragancorp.registry.queries import GetMission, LedgerPart, ListMissions, Page, ReadLedger
from dragancorp.rules import checked
from dragancorp_contracts.lifecycle import Actor, MissionKind, MissionState, MissionTrigger, ReasonCode

Refuse = Callable[[Mapping[str, Any]], Sequence[Unfit]]
"""A lane's executor, asked why an envelope would never run there; empty: it may."""

MAX_ANCESTORS = 10


@dataclass(frozen=True, kw_only=True)
class Requester:
    """Who asks: `by` goes into the ledger, `source_instance_id` is the one the token is bound to (None: free)."""

    by: By
    source_instance_id: str | None = None
    vp_ids: frozenset[str] | None = None

    def may_see(self, vp_id: str) -> bool:
        """Whether the lane is among those that the requester is limited to, if it is limited at all."""
        return self.vp_ids is None or vp_id in self.vp_ids


class Missions:
    """Dispatch, read and cancel missions in a `Store`."""

    def __init__(self, store: Store, clock: Clock, *, instance_id: str, refusers: Mapping[str, Refuse]) -> None:
        self._store = store
        self._clock = clock
        self._instance_id = instance_id
        self._refusers = refusers
        self.ledgers = LedgerReaders(store)

    async def dispatch(
        self,
        envelope: Mapping[str, Any],
        requester: Requester,
        *,
        text: str | None = None,
        kind: MissionKind = MissionKind.DISPATCHED,
        retry_of: str | None = None,
    ) -> Dispatched:
        """Store a mission, or find it again by its key.

        `text` is the envelope as received, `retry_of` the mission that it repeats. Errors: `document_invalid` with
        every violation, `lane_unknown`, `source_mismatch`, `command_not_allowed`, `extension_unsupported`,
        `child_exceeds_parent`, `queue_full`, `idempotency_key_reused`, `lane_retired`.
        """
        checked("mission-envelope", envelope)
        vp_id = envelope["vp_id"]
        refuse = self._refusers.get(vp_id)
        if not requester.may_see(vp_id) or refuse is None:
            raise DraganError(ErrorCode.LANE_UNKNOWN, f"there is no lane {vp_id!r}")
        source = self._source(envelope, requester)
        self._refuse_unfit(envelope, refuse)
        excess = await self._excess(envelope, requester)
        made = draft(envelope, source_instance_id=source, kind=kind, now=self._clock.wall(), retry_of=retry_of)
        return await self._store.execute(
            DispatchMission(
                draft=made.row,
                document=canonical(envelope) if text is None else text,
                assigned=made.assigned,
                by=requester.by,
                hold_for_approval=made.hold_for_approval,
                excess_over_parent=excess,
            )
        )

    def _source(self, envelope: Mapping[str, Any], requester: Requester) -> str:
        named, bound = envelope.get("source_instance_id"), requester.source_instance_id
        if named is not None and bound is not None and named != bound:
            raise DraganError(
                ErrorCode.SOURCE_MISMATCH,
                f"the token speaks for {bound!r}, the envelope for {named!r}",
                facts={"source_instance_id": bound},
            )
        return str(named or bound or self._instance_id)

    @staticmethod
    def _refuse_unfit(envelope: Mapping[str, Any], refuse: Refuse) -> None:
        reasons = refuse(envelope)
        if not reasons:
            return
        raise DraganError(
            reasons[0].error,
            f"the lane {envelope['vp_id']!r} refuses the mission: {reasons[0].sentence}",
            violations=[
                Violation(
                    pointer=reason.pointer,
                    rule=reason.rule or f"{envelope['vp_id']}/executor",
                    message=reason.sentence,
                )
                for reason in reasons
            ],
        )

    async def _excess(self, envelope: Mapping[str, Any], requester: Requester) -> Sequence[str]:
        parent_id = envelope.get("parent_mission_id")
        if parent_id is None:
            return ()
        try:
            parent = await self.get(parent_id, requester)
        except DraganError as refused:
            if refused.code is not ErrorCode.MISSION_ARCHIVED:
                raise
            return ("the parent mission has ended",)
        depth, ancestor = 1, parent.row
        while ancestor.parent_mission_id is not None and depth < MAX_ANCESTORS:
            found = await self._store.read(GetMission(mission_id=ancestor.parent_mission_id))
            if found is None:
                break
            depth, ancestor = depth + 1, found.row
        return excess_over_parent(envelope, whole(parent, loads(parent.document)), depth)

    async def get(self, mission_id: str, requester: Requester) -> Stored:
        """One mission. Raises `mission_unknown`, also for another lane's, and `mission_archived`."""
        stored = await self._store.read(GetMission(mission_id=mission_id))
        if stored is None:
            archived = await self._store.read(GetArchived(mission_id=mission_id))
            if archived is not None and requester.may_see(archived.vp_id):
                raise _archived(archived)
        if stored is None or not requester.may_see(stored.row.vp_id):
            raise DraganError(ErrorCode.MISSION_UNKNOWN, f"there is no mission {mission_id!r}")
        return stored

    async def get_for_events(self, mission_id: str, requester: Requester) -> Stored:
        """One mission, of which the events are wanted. Raises `mission_unknown` and `events_gone`."""
        try:
            return await self.get(mission_id, requester)
        except DraganError as refused:
            if refused.code is not ErrorCode.MISSION_ARCHIVED:
                raise
            raise DraganError(ErrorCode.EVENTS_GONE, refused.detail, facts=refused.facts) from refused

    async def list(
        self,
        requester: Requester,
        *,
        vp_id: str | None = None,
        state: str | None = None,
        parked: bool | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> Page:
        """Missions, newest first, of the lanes the requester may see."""
        lanes = requester.vp_ids
        if vp_id is not None:
            lanes = frozenset({vp_id}) if requester.may_see(vp_id) else frozenset()
        return await self._store.read(
            ListMissions(vp_ids=lanes, state=state, parked=parked, limit=limit, before=before)
        )

    async def ledger(
        self, mission_id: str, requester: Requester, *, after: int = 0, limit: int = 200, wait: float = 0.0
    ) -> LedgerPart:
        """Ledger entries after a sequence; waits up to `wait` seconds for the first one.

        Raises `mission_unknown`, also for another lane's, and `events_gone` once they are archived.
        """
        await self.get_for_events(mission_id, requester)
        query = ReadLedger(mission_id=mission_id, after=after, limit=limit)
        deadline = self._clock.monotonic() + wait
        with self._store.watch(mission_topic(mission_id)) as subscription:
            while True:
                part = await self.ledgers.read(query)
                left = deadline - self._clock.monotonic()
                if part.events or part.terminal or left <= 0:
                    return part
                await subscription.wait(left)

    async def cancel(self, mission_id: str, requester: Requester) -> Stepped:
        """Ask for the end. Cancelled already: the same answer again. Raises `mission_terminal` when otherwise ended."""
        stored = await self.get(mission_id, requester)
        command = MissionCommand(
            trigger=MissionTrigger.CANCEL,
            by=requester.by,
            reason=ReasonCode.CALLER_GONE if requester.by.kind is Actor.GATEWAY else ReasonCode.CANCEL_REQUESTED,
            content={"summary": requester.by.reason} if requester.by.reason else {},
        )
        try:
            return await self._store.execute(StepMission(mission_id=mission_id, command=command))
        except DraganError as refused:
            if refused.code is not ErrorCode.MISSION_TERMINAL:
                raise
            ended = await self.get(stored.row.mission_id, requester)
            if ended.row.state is MissionState.CANCELLED:
                return Stepped(row=ended.row, events=(), transition="C1", replayed=True)
            raise DraganError(
                ErrorCode.MISSION_TERMINAL,
                f"the mission {mission_id!r} is {ended.row.state.value}",
                facts={"state": ended.row.state.value},
            ) from refused


def _archived(archived: Archived) -> DraganError:
    return DraganError(
        ErrorCode.MISSION_ARCHIVED,
        f"the mission {archived.mission_id!r} ended {utc_text(archived.finished_at)} and is in {archived.archive!r}",
        facts={
            "state": archived.state.value,
            "archive": archived.archive,
            "last_sequence": archived.last_sequence,
            "last_digest": archived.last_digest,
        },
    )
