"""The operations of `specs/ops-api`, each on the plane behind this face."""

from datetime import timedelta
from typing import Any

from dragancorp import __version__
from dragancorp.control_plane import ControlPlane
from dragancorp.embedded_plane import EmbeddedPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.faces.api import cursor as cursors
from dragancorp.faces.api.artifact_download import ArtifactDownload
from dragancorp.faces.api.mission_stream import MissionStream, refuse_unknown_position
from dragancorp.faces.api.prefix import prefixed
from dragancorp.faces.api.requester import lane_admitted, requester_of
from dragancorp.faces.api.rollout_operations import RolloutOperations
from dragancorp.faces.api.session_operations import SessionOperations
from dragancorp.faces.api.worker_operations import WorkerOperations
from dragancorp.gateway.turns import Turn
from dragancorp.missions.ledger import verify_page
from dragancorp.missions.records import mission_record, session_record
from dragancorp.missions.retention import AT_MOST
from dragancorp.registry.comparisons import GetComparison
from dragancorp.registry.contract import SessionRegistry
from dragancorp.registry.operations import Dispatched, Stored
from dragancorp.registry.queries import CountUndelivered, GetLane, ListLanes, ReadLedger
from dragancorp_contracts import resources
from dragancorp_contracts.api.docs_page import docs_page
from dragancorp_contracts.api.document import openapi_document
from dragancorp_contracts.api.records import Answer, EventStream, Principal
from dragancorp_contracts.api.service import OpsService
from dragancorp_contracts.lifecycle import MissionKind, MissionState, SessionTrigger

CODER_VP = "vp.coder.primary"
OPENAPI = openapi_document()


class PlaneService(ArtifactDownload, WorkerOperations, RolloutOperations, SessionOperations, OpsService):
    """`OpsService` for one control plane."""

    def __init__(self, source: ControlPlane | EmbeddedPlane) -> None:
        self._source = source

    @property
    def _plane(self) -> ControlPlane:
        return self._source.plane if isinstance(self._source, EmbeddedPlane) else self._source

    async def dispatch_mission(self, principal: Principal, *, document: dict[str, Any], text: str) -> Answer:
        """Store the envelope as a mission; the same request again finds it."""
        done = await self._plane.missions.dispatch(document, requester_of(principal), text=text)
        return await self._dispatched(done)

    async def list_missions(
        self,
        principal: Principal,
        *,
        vp_id: str | None = None,
        state: str | None = None,
        parked: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Answer:
        """A page of missions, newest first."""
        page = await self._plane.missions.list(
            requester_of(principal),
            vp_id=vp_id,
            state=state,
            parked=parked,
            limit=limit,
            before=None if cursor is None else cursors.decode(cursor),
        )
        following = None if page.next_position is None else cursors.encode(page.next_position)
        return Answer(body={"missions": [mission_record(stored) for stored in page.missions], "next_cursor": following})

    async def get_mission(self, principal: Principal, *, mission_id: str) -> Answer:
        """One mission."""
        stored = await self._plane.missions.get(mission_id, requester_of(principal))
        return Answer(body=await self._record(stored))

    async def list_mission_events(
        self, principal: Principal, *, mission_id: str, after: int = 0, limit: int = 200, wait: float = 0
    ) -> Answer:
        """A part of a mission's ledger."""
        part = await self._plane.missions.ledger(
            mission_id, requester_of(principal), after=after, limit=limit, wait=wait
        )
        return Answer(
            body={
                "events": [dict(event) for event in part.events],
                "last_sequence": part.last_sequence,
                "terminal": part.terminal,
            }
        )

    async def stream_mission_events(
        self, principal: Principal, *, mission_id: str, last_event_id: int | None = None
    ) -> Answer | EventStream:
        """A mission's ledger as it is written."""
        missions = self._plane.missions
        stored = await missions.get_for_events(mission_id, requester_of(principal))
        stream = MissionStream(missions.ledgers, self._plane.clock, mission_id)
        if last_event_id is None:
            return EventStream(events=stream.events(stored.row.last_sequence, await self._record(stored)))
        refuse_unknown_position(mission_id, last_event_id, stored.row.last_sequence)
        await missions.ledgers.read(ReadLedger(mission_id=mission_id, after=last_event_id, limit=1))
        if stored.row.terminal and last_event_id == stored.row.last_sequence:
            return Answer(status=204)
        return EventStream(events=stream.events(last_event_id))

    async def cancel_mission(
        self,
        principal: Principal,
        *,
        mission_id: str,
        document: dict[str, Any] | None = None,
        text: str | None = None,
    ) -> Answer:
        """Ask for a mission's end."""
        requester = requester_of(principal, reason=(document or {}).get("reason"))
        stepped = await self._plane.missions.cancel(mission_id, requester)
        stored = await self._plane.missions.get(mission_id, requester)
        status = 200 if stepped.row.state is MissionState.CANCELLED else 202
        return Answer(status=status, body=await self._record(stored))

    async def approve_mission(
        self, principal: Principal, *, mission_id: str, document: dict[str, Any], text: str
    ) -> Answer:
        """Let a blocked mission go on."""
        requester = requester_of(principal, reason=document.get("reason"))
        await self._plane.decisions.approve(mission_id, requester, document)
        return await self.get_mission(principal, mission_id=mission_id)

    async def deny_mission(
        self, principal: Principal, *, mission_id: str, document: dict[str, Any], text: str
    ) -> Answer:
        """End a blocked mission."""
        await self._plane.decisions.deny(mission_id, requester_of(principal, reason=document.get("reason")))
        return await self.get_mission(principal, mission_id=mission_id)

    async def retry_mission(
        self,
        principal: Principal,
        *,
        mission_id: str,
        document: dict[str, Any] | None = None,
        text: str | None = None,
    ) -> Answer:
        """Run again what ended without success."""
        requester = requester_of(principal, reason=(document or {}).get("reason"))
        return await self._dispatched(await self._plane.decisions.retry(mission_id, requester))

    async def explain_mission(self, principal: Principal, *, mission_id: str) -> Answer:
        """Why it is not running, or not finished."""
        answer = await self._plane.decisions.why(mission_id, requester_of(principal))
        return Answer(
            body={
                "mission_id": mission_id,
                "code": answer.code,
                "sentence": answer.sentence,
                "facts": dict(answer.facts),
            }
        )

    async def list_mission_artifacts(self, principal: Principal, *, mission_id: str) -> Answer:
        """What it left behind."""
        found = await self._plane.decisions.artifacts(mission_id, requester_of(principal))
        return Answer(body={"artifacts": [dict(artifact) for artifact in found]})

    async def drain_lane(self, principal: Principal, *, vp_id: str, document: dict[str, Any], text: str) -> Answer:
        """No new claims."""
        return await self._set_status(principal, vp_id, SessionTrigger.DRAIN, document)

    async def resume_lane(self, principal: Principal, *, vp_id: str, document: dict[str, Any], text: str) -> Answer:
        """Claims again."""
        return await self._set_status(principal, vp_id, SessionTrigger.RESUME, document)

    async def reset_lane(self, principal: Principal, *, vp_id: str, document: dict[str, Any], text: str) -> Answer:
        """Start the session over."""
        return await self._set_status(principal, vp_id, SessionTrigger.RESET, document)

    async def retire_lane(self, principal: Principal, *, vp_id: str, document: dict[str, Any], text: str) -> Answer:
        """Close the lane for good."""
        return await self._set_status(principal, vp_id, SessionTrigger.RETIRE, document)

    async def _set_status(
        self, principal: Principal, vp_id: str, trigger: SessionTrigger, document: dict[str, Any]
    ) -> Answer:
        by = lane_admitted(principal, vp_id, reason=document["reason"])
        await SessionRegistry(self._plane.store).set_status(vp_id, trigger, by=by)
        return await self.get_session(principal, vp_id=vp_id)

    async def explain_routing(self, principal: Principal, *, document: dict[str, Any], text: str) -> Answer:
        """Where a turn would go."""
        if principal.vp_ids is not None:
            raise DraganError(ErrorCode.SCOPE_MISSING, "the token sees some lanes only, and every lane has its say")
        turn = Turn(text=document["text"], session_id=document["session_id"], source=document.get("source", "user"))
        return Answer(body=await self._plane.explain(turn))

    async def list_sessions(self, principal: Principal) -> Answer:
        """Every lane session that the token may see."""
        requester = requester_of(principal)
        lanes = await self._plane.store.read(ListLanes())
        return Answer(body={"sessions": [session_record(lane) for lane in lanes if requester.may_see(lane.row.vp_id)]})

    async def get_session(self, principal: Principal, *, vp_id: str) -> Answer:
        """One lane session."""
        lane = await self._plane.store.read(GetLane(vp_id=vp_id)) if requester_of(principal).may_see(vp_id) else None
        if lane is None:
            raise DraganError(ErrorCode.SESSION_UNKNOWN, f"there is no lane session {vp_id!r}")
        return Answer(body=session_record(lane))

    async def get_coder_vp_metrics(
        self, principal: Principal, *, mission_limit: int = 50, event_limit: int = 200
    ) -> Answer:
        """The coder lane's snapshot."""
        return await self.get_vp_metrics(
            principal, vp_id=CODER_VP, mission_limit=mission_limit, event_limit=event_limit
        )

    async def get_coder_vp_dashboard(
        self, principal: Principal, *, mission_limit: int = 20, event_limit: int = 100
    ) -> Answer:
        """The coder lane's snapshot over a smaller window."""
        return await self.get_vp_metrics(
            principal, vp_id=CODER_VP, mission_limit=mission_limit, event_limit=event_limit
        )

    async def get_vp_metrics(
        self, principal: Principal, *, vp_id: str, mission_limit: int = 50, event_limit: int = 200
    ) -> Answer:
        """Any lane's snapshot."""
        lane_admitted(principal, vp_id)
        return Answer(body=await self._plane.snapshot(vp_id, mission_limit=mission_limit, event_limit=event_limit))

    async def verify_ledger(
        self, principal: Principal, *, after: int = 0, limit: int = 100, mission_id: str | None = None
    ) -> Answer:
        """A page of missions rebuilt from their events."""
        requester = requester_of(principal)
        if mission_id is not None:
            await self._plane.missions.get(mission_id, requester)
        elif requester.vp_ids is not None:
            raise DraganError(ErrorCode.SCOPE_MISSING, "the token sees some lanes only, and this looks at all")
        report = await verify_page(self._plane.store, after=after, limit=limit, mission_id=mission_id)
        return Answer(body=report.as_json())

    async def archive_missions(self, principal: Principal, *, document: dict[str, Any], text: str) -> Answer:
        """Missions that ended long ago go to a file."""
        if principal.vp_ids is not None:
            raise DraganError(ErrorCode.SCOPE_MISSING, "the token sees some lanes only, and this concerns all")
        older_than = timedelta(days=document["older_than_days"])
        done = await self._plane.retention.archive(older_than, at_most=AT_MOST)
        archive = None if done.archive is None else str(done.archive)
        return Answer(body={"missions": done.missions, "entries": done.entries, "archive": archive, "more": done.more})

    async def get_prometheus_metrics(self, principal: Principal) -> Answer:
        """For Prometheus."""
        if principal.vp_ids is not None:
            raise DraganError(ErrorCode.SCOPE_MISSING, "the token sees some lanes only, and this is about all")
        return Answer(body=await self._plane.prometheus_text())

    async def get_health(self) -> Answer:
        """Alive."""
        return Answer(body={"status": "ok", "version": __version__})

    async def get_readiness(self) -> Answer:
        """Ready, once a write has gone through."""
        await self._plane.check_writable()
        return Answer(body={"status": "ready", "instance_id": self._plane.instance_id, "lanes": len(self._plane.lanes)})

    async def get_openapi(self) -> Answer:
        """The document."""
        return Answer(body={**OPENAPI, "servers": [{**OPENAPI["servers"][0], "url": prefixed("/")}]})

    async def get_docs(self) -> Answer:
        """The human page."""
        return Answer(body=docs_page())

    async def get_schema(self, *, name: str, version: str) -> Answer:
        """A contract's schema."""
        try:
            return Answer(body=resources.read_document(name, version))
        except KeyError as error:
            raise DraganError(ErrorCode.ROUTE_UNKNOWN, f"there is no contract {name}/{version}") from error

    async def _dispatched(self, done: Dispatched) -> Answer:
        record = await self._record(done.mission)
        if done.replayed:
            return Answer(status=200, body=record, headers={"Idempotency-Replayed": "true"})
        return Answer(
            status=201, body=record, headers={"Location": prefixed(f"/api/v1/missions/{record['mission_id']}")}
        )

    async def _record(self, stored: Stored) -> dict[str, Any]:
        undelivered = None
        if stored.row.callback_url is not None:
            undelivered = await self._plane.store.read(CountUndelivered(mission_id=stored.row.mission_id))
        comparison = None
        if stored.row.kind is MissionKind.SHADOW:
            comparison = await self._plane.store.read(GetComparison(mission_id=stored.row.mission_id))
        return mission_record(stored, undelivered=undelivered, comparison=comparison)
