"""A session registry as one typed contract, for an embedder who wants only that: lanes, leases, missions, events.

Thin over the `Store` port: every method is one operation or one query, and what it refuses is a `DraganError` whose
code stands in its docstring. Beside those, every writing method may raise `storage_busy` and `storage_failed` (both
retryable, nothing was changed) and `shutting_down`, every reading one `storage_failed` and `shutting_down`.
"""

from collections.abc import Mapping
from typing import Any

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lifecycle.commands import By, SessionCommand
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import SessionRow
from dragancorp.registry.operations import ConfigureLane, Renewal, RenewLease, SessionStepped, StepSession, Stored
from dragancorp.registry.port import Store
from dragancorp.registry.queries import (
    GetLane,
    GetMission,
    LaneRecord,
    LedgerPart,
    ListLanes,
    ListMissions,
    Page,
    ReadLedger,
    ReadSessionLedger,
)
from dragancorp_contracts.lifecycle import Actor, SessionTrigger

CONTROL_PLANE = By(kind=Actor.CONTROL_PLANE, name="control-plane")
STATUS_TRIGGERS = frozenset(
    {
        SessionTrigger.DRAIN,
        SessionTrigger.RESUME,
        SessionTrigger.RESET,
        SessionTrigger.RETIRE,
        SessionTrigger.DEGRADE,
        SessionTrigger.RECOVER,
    }
)
"""What `set_status` takes: the other triggers carry more than a status, a lease or an executor's session."""


class SessionRegistry:
    """The operations of a session registry over a `Store`; the store is not closed with it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- sessions

    async def upsert_session(self, policy: LanePolicy, *, by: By = CONTROL_PLANE) -> SessionRow:
        """Make a lane known, idle at first, or keep its new policy; its status, lease and ledger stay as they are.

        Errors: `document_invalid` for numbers under which a live lease could be taken away, `actor_not_permitted`
        when anybody but a control plane makes a lane known.
        """
        _refuse_unsafe(policy)
        return await self._store.execute(ConfigureLane(policy=policy, by=by))

    async def get_session(self, vp_id: str) -> LaneRecord:
        """A lane session with its policy and its unfinished missions by state. Errors: `lane_unknown`."""
        found = await self._store.read(GetLane(vp_id=vp_id))
        if found is None:
            raise DraganError(ErrorCode.LANE_UNKNOWN, f"there is no lane {vp_id!r}")
        return found

    async def list_sessions(self) -> tuple[LaneRecord, ...]:
        """Every lane session, by vp_id."""
        return await self._store.read(ListLanes())

    # -- leases

    async def acquire_lease(self, vp_id: str, *, owner: str, vp_runtime_id: str) -> SessionRow:
        """Take the lane's lease under a new epoch (`lease_epoch` of the answer), good for the policy's `lease_ttl`.

        `owner` is unique to one process and one acquire. Errors: `lane_unknown`, `lease_held`, `lane_retired`,
        `document_invalid` without an owner.
        """
        command = SessionCommand(
            trigger=SessionTrigger.ACQUIRE, by=_lane(owner), owner=owner, vp_runtime_id=vp_runtime_id
        )
        return (await self._store.execute(StepSession(vp_id=vp_id, command=command))).row

    async def heartbeat(self, vp_id: str, *, owner: str, lease_epoch: int) -> Renewal:
        """Renew the lease; answers what the lane still holds. Errors: `lane_unknown`, `stale_epoch`, `lane_retired`."""
        return await self._store.execute(RenewLease(vp_id=vp_id, owner=owner, lease_epoch=lease_epoch))

    async def release_lease(self, vp_id: str, *, owner: str, lease_epoch: int) -> SessionRow:
        """Give the lease back. Errors: `lane_unknown`, `stale_epoch`, `lane_busy` while missions are held,
        `lane_retired`.
        """
        command = SessionCommand(trigger=SessionTrigger.RELEASE, by=_lane(owner), owner=owner, lease_epoch=lease_epoch)
        return (await self._store.execute(StepSession(vp_id=vp_id, command=command))).row

    # -- status

    async def set_status(
        self,
        vp_id: str,
        trigger: SessionTrigger,
        *,
        by: By,
        owner: str | None = None,
        lease_epoch: int | None = None,
        error: str | None = None,
    ) -> SessionStepped:
        """Ask the life cycle for another status by one of `STATUS_TRIGGERS`; answers the row and what moved with it.

        drain, resume, reset and retire are an operator's; degrade (with `error`) and recover are the holder's, who
        gives `owner` and `lease_epoch`. Errors: `lane_unknown`; `transition_refused` for another trigger or from a
        status without such a step; `actor_not_permitted`; `stale_epoch`; `lease_held` (retire while held),
        `lane_busy` (retire with unfinished missions), `lane_retired`.
        """
        if trigger not in STATUS_TRIGGERS:
            raise DraganError(
                ErrorCode.TRANSITION_REFUSED,
                f"{trigger!s} does not set a status",
                facts={"trigger": str(trigger), "triggers": sorted(one.value for one in STATUS_TRIGGERS)},
            )
        command = SessionCommand(trigger=trigger, by=by, owner=owner, lease_epoch=lease_epoch, error=error)
        return await self._store.execute(StepSession(vp_id=vp_id, command=command))

    # -- missions and events

    async def get_mission(self, mission_id: str) -> Stored:
        """A mission: its row, its envelope as received, what was assigned to it. Errors: `mission_unknown`."""
        found = await self._store.read(GetMission(mission_id=mission_id))
        if found is None:
            raise DraganError(ErrorCode.MISSION_UNKNOWN, f"there is no mission {mission_id!r}")
        return found

    async def list_missions(
        self,
        *,
        vp_id: str | None = None,
        state: str | None = None,
        parked: bool | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> Page:
        """Missions, newest first; `before` is the `next_position` of the page before."""
        lanes = None if vp_id is None else frozenset({vp_id})
        return await self._store.read(
            ListMissions(vp_ids=lanes, state=state, parked=parked, limit=limit, before=before)
        )

    async def mission_events(self, mission_id: str, *, after: int = 0, limit: int = 200) -> LedgerPart:
        """Entries of a mission's ledger after a sequence, oldest first. Errors: `mission_unknown`."""
        part = await self._store.read(ReadLedger(mission_id=mission_id, after=after, limit=limit))
        if part is None:
            raise DraganError(ErrorCode.MISSION_UNKNOWN, f"there is no mission {mission_id!r}")
        return part

    async def session_events(self, vp_id: str, *, after: int = 0, limit: int = 200) -> tuple[Mapping[str, Any], ...]:
        """Entries of a lane session's ledger after a sequence, oldest first. Errors: `lane_unknown`."""
        events = await self._store.read(ReadSessionLedger(vp_id=vp_id, after=after, limit=limit))
        if not events:
            await self.get_session(vp_id)
        return events


def _lane(owner: str) -> By:
    return By(kind=Actor.LANE, name=owner, way="registry")


def _refuse_unsafe(policy: LanePolicy) -> None:
    # One beat that is late and one that is lost must still leave the holder its lease.
    if policy.lease_ttl <= 0 or policy.heartbeat_interval <= 0 or policy.heartbeat_interval > policy.lease_ttl / 3:
        raise DraganError(
            ErrorCode.DOCUMENT_INVALID,
            f"the heartbeat of {policy.vp_id!r} must be above 0 and at most a third of its lease",
            facts={"lease_ttl": policy.lease_ttl, "heartbeat_interval": policy.heartbeat_interval},
        )
