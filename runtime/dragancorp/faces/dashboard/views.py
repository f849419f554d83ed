"""What each page shows, read through the operations of the API: the same answers, the same refusals."""

from collections.abc import Mapping
from typing import Any

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.faces.api.service import PlaneService
from dragancorp_contracts.api.operations import OPERATIONS
from dragancorp_contracts.api.records import Principal

PAGE = 50
EVENTS = 200
EVIDENCE = 50
UNFINISHED = ("queued", "running", "blocked")


def need(principal: Principal, *operations: str) -> None:
    """Raise `scope_missing` unless the token may do all of these, as the operations document has it."""
    wanted = {scope for operation in operations for scope in OPERATIONS[operation].scopes}
    missing = sorted(wanted - principal.scopes)
    if missing:
        raise DraganError(
            ErrorCode.SCOPE_MISSING,
            f"the token {principal.name!r} does not have {', '.join(missing)}",
            facts={"missing_scopes": missing},
        )


class Views:
    """The contents of the pages of one plane."""

    def __init__(self, service: PlaneService) -> None:
        self._service = service

    async def lanes(self, principal: Principal) -> list[dict[str, Any]]:
        """Every lane with its session, its rollout and its latencies."""
        need(principal, "list_sessions", "get_rollout", "get_vp_metrics")
        sessions = (await self._service.list_sessions(principal)).body["sessions"]
        return [await self._lane(principal, session) for session in sessions]

    async def _lane(self, principal: Principal, session: Mapping[str, Any]) -> dict[str, Any]:
        vp_id = session["vp_id"]
        try:
            rollout = (await self._service.get_rollout(principal, vp_id=vp_id)).body
            metrics = (await self._service.get_vp_metrics(principal, vp_id=vp_id, event_limit=1)).body
        except DraganError as error:
            if error.code is not ErrorCode.LANE_UNKNOWN:
                raise
            rollout, metrics = None, None  # a lane of earlier, which no lanes file names any more
        return {"session": session, "rollout": rollout, "metrics": metrics}

    async def lane(self, principal: Principal, vp_id: str) -> dict[str, Any]:
        """One lane: session, rollout, metrics, the newest missions, and its evidence as trends."""
        need(principal, "get_session", "get_rollout", "get_vp_metrics", "list_missions")
        session = (await self._service.get_session(principal, vp_id=vp_id)).body
        found = await self._lane(principal, session)
        missions = (await self._service.list_missions(principal, vp_id=vp_id, limit=10)).body["missions"]
        evidence: list[dict[str, Any]] = []
        if found["rollout"] is not None:
            page = await self._service.list_evidence(principal, vp_id=vp_id, limit=EVIDENCE)
            evidence = page.body["evidence"][::-1]
        trends = {
            "fallback rate": [entry["numbers"]["fallback_rate"] for entry in evidence],
            "p95 latency": [entry["numbers"]["p95_seconds"] for entry in evidence],
        }
        return {
            **found,
            "vp_id": vp_id,
            "missions": missions,
            "trends": {name: _points(v) for name, v in trends.items()},
        }

    async def missions(self, principal: Principal, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of missions by filter. Raises `parameter_invalid`."""
        need(principal, "list_missions", "list_sessions")
        parked = {"true": True, "false": False}.get(asked.get("parked", ""))
        page = await self._service.list_missions(
            principal,
            vp_id=asked.get("vp_id"),
            state=asked.get("state"),
            parked=parked,
            limit=PAGE,
            cursor=asked.get("cursor"),
        )
        sessions = (await self._service.list_sessions(principal)).body["sessions"]
        return {
            "missions": page.body["missions"],
            "next_cursor": page.body["next_cursor"],
            "lanes": [session["vp_id"] for session in sessions],
            "unfinished": UNFINISHED,
        }

    async def mission(self, principal: Principal, mission_id: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """One mission: record, ledger, artifacts, and why it is not finished."""
        need(principal, "get_mission", "list_mission_events", "explain_mission", "list_mission_artifacts")
        mission = (await self._service.get_mission(principal, mission_id=mission_id)).body
        after = str(query.get("after", "0"))
        start = int(after) if after.isascii() and after.isdigit() and len(after) <= 9 else 0
        ledger = await self._service.list_mission_events(principal, mission_id=mission_id, after=start, limit=EVENTS)
        artifacts = await self._service.list_mission_artifacts(principal, mission_id=mission_id)
        why = (await self._service.explain_mission(principal, mission_id=mission_id)).body
        events = ledger.body["events"]
        more = events[-1]["sequence"] if events and events[-1]["sequence"] < ledger.body["last_sequence"] else None
        return {
            "mission": mission,
            "events": events,
            "more_after": more,
            "artifacts": artifacts.body["artifacts"],
            "why": why,
            "finished": mission["state"] not in UNFINISHED,
        }

    async def rollout(self, principal: Principal, vp_id: str) -> dict[str, Any]:
        """Where a lane's rollout stands, with its newest evidence."""
        need(principal, "get_rollout", "list_evidence")
        status = (await self._service.get_rollout(principal, vp_id=vp_id)).body
        evidence = (await self._service.list_evidence(principal, vp_id=vp_id, limit=EVIDENCE)).body["evidence"]
        return {"vp_id": vp_id, "rollout": status, "history": evidence}

    async def recovery(self, principal: Principal) -> dict[str, Any]:
        """What was lost and found again: lanes in trouble, orphans, parked missions."""
        lanes = await self.lanes(principal)
        parked = (await self._service.list_missions(principal, parked=True, limit=PAGE)).body["missions"]
        return {"lanes": lanes, "parked": parked}


def _points(values: list[float | None]) -> list[tuple[float, float]]:
    """A trend as points of a line 300 wide and 60 high, oldest left; what is not known is left out."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    top = max((value for _, value in known), default=0.0) or 1.0
    wide = max(1, len(values) - 1)
    return [(round(300 * place / wide, 1), round(58 - 56 * value / top, 1)) for place, value in known]
