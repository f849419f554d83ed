"""The operations that a lane's worker asks for: lease, claim, report, upload.

Each is what the worker's link inside the plane's own process does, so a worker over HTTP meets the same fences.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dragancorp.control_plane import ControlPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors import uploads
from dragancorp.executors.workspace import artifacts_dir
from dragancorp.lanes.link import READS, Lease, Report
from dragancorp.lanes.store_link import StoreLink, claim_of, following_key, mark, step_of
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.missions.records import mission_record, session_record
from dragancorp.registry.operations import HeldMission, StepAndClaim, Stored
from dragancorp.registry.queries import GetLane, GetMission, LaneRecord
from dragancorp_contracts.api.records import Answer, Principal
from dragancorp_contracts.lifecycle import Holder, MissionTrigger, ReasonCode

POLICY_MEMBERS = ("lease_ttl", "heartbeat_interval", "cancel_deadline", "idle_limit", "parallel_missions")


class WorkerOperations:
    """The part of `OpsService` that workers call."""

    @property
    def _plane(self) -> ControlPlane:
        raise NotImplementedError

    @property
    def _link(self) -> StoreLink:
        return StoreLink(self._plane.store, clock=self._plane.clock)

    async def acquire_lease(self, principal: Principal, *, vp_id: str, document: dict[str, Any], text: str) -> Answer:
        """Take a lane's lease."""
        _admit(principal, vp_id)
        await self._link.acquire(vp_id, document["lease_owner"], document["vp_runtime_id"])
        record = await self._lane(vp_id)
        return Answer(status=201, body={"session": session_record(record), "policy": _policy(record.policy)})

    async def renew_lease(self, principal: Principal, *, vp_id: str, document: dict[str, Any], text: str) -> Answer:
        """Heartbeat, with what the holder says of itself; waits for news."""
        _admit(principal, vp_id)
        lease, link = _lease(vp_id, document), self._link
        match document.get("says"):
            case {"ready": ready}:
                await link.ready(
                    lease,
                    executor_session_id=ready["executor_session_id"],
                    outcome=ready["outcome"],
                    workspace=ready.get("workspace"),
                )
            case {"degraded": degraded}:
                await link.degrade(lease, degraded["error"])
            case {"recovered": _}:
                await link.recover(lease)
        renewal = await link.renewal(lease, wait=document.get("wait", 0.0), seen=document.get("seen"))
        return Answer(
            body={
                "session": session_record(_as_record(renewal.session, renewal.policy)),
                "policy": _policy(renewal.policy),
                "held": [_held(one) for one in renewal.held],
                "mark": mark(renewal),
            }
        )

    async def release_lease(self, principal: Principal, *, vp_id: str, lease_owner: str, lease_epoch: int) -> Answer:
        """Give a lease back."""
        _admit(principal, vp_id)
        await self._link.release(_lease(vp_id, {"lease_owner": lease_owner, "lease_epoch": lease_epoch}))
        return Answer(body=session_record(await self._lane(vp_id)))

    async def claim_missions(self, principal: Principal, *, vp_id: str, document: dict[str, Any], text: str) -> Answer:
        """What is due; waits for it."""
        _admit(principal, vp_id)
        operation = claim_of(
            _lease(vp_id, document),
            document.get("limit", 1),
            key=document.get("idempotency_key"),
            reads=frozenset(document.get("reads", READS)),
        )
        found = await self._link.claim_stored(operation, wait=document.get("wait", 0.0))
        return Answer(body={"missions": [mission_record(stored) for stored in found]})

    async def report_mission(
        self, principal: Principal, *, mission_id: str, document: dict[str, Any], text: str
    ) -> Answer:
        """A holder's word; with `claim_next`, and its next mission."""
        row = await self._mission(principal, mission_id)
        content = document.get("content", {})
        await self._check_uploaded(row, [*document.get("artifacts", ()), *content.get("artifact_refs", ())])
        report = Report(
            trigger=MissionTrigger(document["trigger"]),
            key=document["idempotency_key"],
            reason=ReasonCode(document["reason_code"]) if "reason_code" in document else None,
            content=content,
            artifacts=document.get("artifacts", ()),
            receipt=document.get("receipt"),
        )
        lease = _lease(row.vp_id, document)
        step = step_of(lease, mission_id, document["attempt"], report)
        claimed: tuple[Stored, ...] = ()
        if (following := document.get("claim_next")) is None:
            stepped = await self._plane.store.execute(step)
        else:
            claim = claim_of(
                lease,
                following.get("limit", 1),
                key=following_key(mission_id, report.key),
                reads=frozenset(following.get("reads", READS)),
            )
            stepped, claimed = await self._plane.store.execute(StepAndClaim(step=step, claim=claim))
        return Answer(
            body={
                "mission_id": mission_id,
                "state": stepped.row.state.value,
                "attempt": stepped.row.attempt,
                "last_sequence": stepped.row.last_sequence,
                "cancel_asked": stepped.row.cancel_requested_at is not None,
                "replayed": stepped.replayed,
                "claimed": [mission_record(stored) for stored in claimed],
            }
        )

    async def upload_artifact(
        self,
        principal: Principal,
        *,
        mission_id: str,
        name: str,
        sha256: str,
        lease_owner: str,
        lease_epoch: int,
        attempt: int,
        content: AsyncIterator[bytes],
    ) -> Answer:
        """One file of a mission."""
        row = await self._mission(principal, mission_id)
        await self._check_holder(row, lease_owner, lease_epoch, attempt)
        folder = await asyncio.to_thread(artifacts_dir, self._root(row.vp_id), mission_id)
        artifact = await uploads.receive(folder, name, sha256, content)
        return Answer(body=artifact.as_json())

    async def _check_holder(self, row: MissionRow, owner: str, epoch: int, attempt: int) -> None:
        """A file is no write of the registry, so its fence is looked at here; what a late one leaves is in no index."""
        if row.terminal:
            raise DraganError(ErrorCode.MISSION_TERMINAL, f"the mission {row.mission_id!r} is {row.state.value}")
        session = (await self._lane(row.vp_id)).row
        held = (row.holder, row.attempt, row.lease_epoch) == (Holder.LANE, attempt, epoch)
        if not held or (session.lease_owner, session.lease_epoch) != (owner, epoch):
            raise DraganError(
                ErrorCode.STALE_EPOCH,
                f"the mission {row.mission_id!r} is held by someone else",
                facts={"attempt": row.attempt, "lease_epoch": row.lease_epoch},
            )

    async def _check_uploaded(self, row: MissionRow, references: list[dict[str, Any]]) -> None:
        """What the index will list is here, byte for byte."""
        if not references or row.terminal:
            return
        folder = await asyncio.to_thread(artifacts_dir, self._root(row.vp_id), row.mission_id)
        if lacking := await asyncio.to_thread(uploads.missing, folder, references):
            raise DraganError(
                ErrorCode.RECEIPT_MISSING,
                f"not uploaded, or with other bytes: {', '.join(lacking)}"[:8000],
                facts={"missing": lacking[:100]},
            )

    async def _lane(self, vp_id: str) -> LaneRecord:
        record = await self._plane.store.read(GetLane(vp_id=vp_id))
        if record is None:
            raise _unknown(vp_id)
        return record

    async def _mission(self, principal: Principal, mission_id: str) -> MissionRow:
        stored = await self._plane.store.read(GetMission(mission_id=mission_id))
        if stored is None or not _may_serve(principal, stored.row.vp_id):
            raise DraganError(ErrorCode.MISSION_UNKNOWN, f"there is no mission {mission_id!r}")
        return stored.row

    def _root(self, vp_id: str) -> Path:
        lane = self._plane.lanes.get(vp_id)
        if lane is None:  # taken out of the lanes file since
            raise _unknown(vp_id)
        return lane.root


def _may_serve(principal: Principal, vp_id: str) -> bool:
    return principal.vp_ids is None or vp_id in principal.vp_ids


def _admit(principal: Principal, vp_id: str) -> None:
    if not _may_serve(principal, vp_id):
        raise _unknown(vp_id)


def _unknown(vp_id: str) -> DraganError:
    return DraganError(ErrorCode.LANE_UNKNOWN, f"there is no lane {vp_id!r}")


def _lease(vp_id: str, proof: dict[str, Any]) -> Lease:
    return Lease(vp_id=vp_id, owner=proof["lease_owner"], vp_runtime_id="", epoch=proof["lease_epoch"])


def _policy(policy: LanePolicy) -> dict[str, Any]:
    return {name: getattr(policy, name) for name in POLICY_MEMBERS}


def _held(mission: HeldMission) -> dict[str, Any]:
    told = {
        "mission_id": mission.mission_id,
        "attempt": mission.attempt,
        "state": mission.state,
        "cancel_asked": mission.cancel_asked,
    }
    return told if mission.decision is None else told | {"decision": dict(mission.decision)}


def _as_record(session: SessionRow, policy: LanePolicy) -> LaneRecord:
    return LaneRecord(row=session, policy=policy, unfinished={})
