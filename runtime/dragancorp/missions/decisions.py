"""What operators decide about missions: approve, deny, run again; and the answer to why one does not run."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.jsonio import loads
from dragancorp.lifecycle.commands import MissionCommand
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.missions.commands import Missions, Requester
from dragancorp.missions.envelopes import ASSIGNABLE, MICRO
from dragancorp.missions.why import Answer, Surroundings, explain
from dragancorp.registry.operations import Dispatched, StepMission, Stepped
from dragancorp.registry.port import Store
from dragancorp.registry.queries import GetLane, GetQueuePlace, ListArtifacts, ReadLedger
from dragancorp_contracts.lifecycle import EventType, MissionState, MissionTrigger

BLOCKED_ENTRIES = 3  # the question, and that the slot was given up meanwhile; one to spare
RETRIABLE = frozenset({MissionState.FAILED, MissionState.TIMED_OUT, MissionState.CANCELLED})


class Decisions:
    """Decisions about missions in a `Store`."""

    def __init__(self, store: Store, missions: Missions, clock: Clock) -> None:
        self._store = store
        self._missions = missions
        self._clock = clock

    async def approve(self, mission_id: str, requester: Requester, decision: Mapping[str, Any]) -> Stepped:
        """Let a blocked mission go on; `decision` may raise its limits (`max_llm_calls`, `max_cost_usd`).

        `answer` is handed to whoever asked; with `request_id`, only if it is that request which the mission waits for.
        Errors: `mission_unknown`, `mission_terminal`, `transition_refused` when it waits for no decision, or for
        another, `document_invalid` when its usage is above the new limits, `child_exceeds_parent`.
        """
        content: dict[str, Any] = {}
        if "max_llm_calls" in decision:
            content["max_llm_calls"] = decision["max_llm_calls"]
        if "max_cost_usd" in decision:
            content["max_cost_microusd"] = int(Decimal(str(decision["max_cost_usd"])) * MICRO)
        answered = {name: decision[name] for name in ("request_id", "answer") if name in decision}
        if answered:
            content["decision"] = answered
        if "request_id" not in decision:
            return await self._step(mission_id, requester, MissionTrigger.APPROVE, content)
        sequence = await self._asked_in(mission_id, requester, decision["request_id"])
        return await self._step(mission_id, requester, MissionTrigger.APPROVE, content, sequence_as_read=sequence)

    async def _asked_in(self, mission_id: str, requester: Requester, request_id: str) -> int:
        """The end of the ledger, once its newest question is known to be this one."""
        stored = await self._missions.get(mission_id, requester)
        after = max(0, stored.row.last_sequence - BLOCKED_ENTRIES)
        part = await self._missions.ledgers.read(ReadLedger(mission_id=mission_id, after=after))
        blocked = [event for event in part.events if event["type"] == EventType.MISSION_BLOCKED.value]
        asked = blocked[-1].get("wanted", {}).get("request_id") if blocked else None
        if not part.terminal and asked != request_id:
            raise DraganError(
                ErrorCode.TRANSITION_REFUSED,
                f"the mission {mission_id!r} does not wait for the request {request_id!r}",
                facts={"state": stored.row.state.value, "request_id": asked},
            )
        return part.last_sequence

    async def deny(self, mission_id: str, requester: Requester) -> Stepped:
        """End a blocked mission. Errors: `mission_unknown`, `mission_terminal`, `transition_refused`."""
        return await self._step(mission_id, requester, MissionTrigger.DENY, {})

    async def _step(
        self,
        mission_id: str,
        requester: Requester,
        trigger: MissionTrigger,
        content: dict[str, Any],
        *,
        sequence_as_read: int | None = None,
    ) -> Stepped:
        stored = await self._missions.get(mission_id, requester)
        if requester.by.reason:
            content["summary"] = requester.by.reason
        command = MissionCommand(
            trigger=trigger,
            by=requester.by,
            attempt_as_read=stored.row.attempt,
            sequence_as_read=sequence_as_read,
            content=content,
        )
        return await self._store.execute(StepMission(mission_id=mission_id, command=command))

    async def retry(self, mission_id: str, requester: Requester) -> Dispatched:
        """Dispatch a new mission from one that ended without success; asked again, the same new one.

        Errors: `mission_unknown`, `transition_refused` for one that is not over or completed, and those of a dispatch.
        """
        stored = await self._missions.get(mission_id, requester)
        if stored.row.state not in RETRIABLE:
            raise DraganError(
                ErrorCode.TRANSITION_REFUSED,
                f"the mission {mission_id!r} is {stored.row.state.value}; only what ended without success runs again",
                facts={"state": stored.row.state.value},
            )
        document = loads(stored.document)
        envelope = {name: value for name, value in document.items() if name not in ASSIGNABLE}
        envelope["idempotency_key"] = f"retry-of-{mission_id}"
        envelope["source_instance_id"] = stored.row.source_instance_id
        return await self._missions.dispatch(envelope, requester, retry_of=mission_id)

    async def why(self, mission_id: str, requester: Requester) -> Answer:
        """Why a mission is not running, or not finished. Errors: `mission_unknown`."""
        stored = await self._missions.get(mission_id, requester)
        now, vp_id = self._clock.wall(), stored.row.vp_id
        lane = await self._store.read(GetLane(vp_id=vp_id))
        if lane is None:
            raise DraganError(ErrorCode.LANE_UNKNOWN, f"there is no lane {vp_id!r}")
        quota = lane.policy.claims_per_hour is not None
        place = await self._store.read(GetQueuePlace(mission_id=mission_id, vp_id=vp_id, now=now, with_claims=quota))
        around = Surroundings(
            lane=lane,
            held_by_lane=place.held_by_lane,
            claims_last_hour=place.claims_last_hour,
            ahead=place.ahead,
            wanted=await self._wanted(stored.row),
            contracts_readable=lane.holder_reads is None or stored.contract in lane.holder_reads,
        )
        return explain(stored.row, around, now)

    async def _wanted(self, row: MissionRow) -> Mapping[str, Any] | None:
        """The newest question of a blocked mission."""
        if row.state is not MissionState.BLOCKED:
            return None
        after = max(0, row.last_sequence - BLOCKED_ENTRIES)
        part = await self._store.read(ReadLedger(mission_id=row.mission_id, after=after))
        questions = [event.get("wanted") for event in part.events] if part is not None else []
        return next((wanted for wanted in reversed(questions) if wanted), None)

    async def artifacts(self, mission_id: str, requester: Requester) -> tuple[Mapping[str, Any], ...]:
        """What a mission left behind, by name. Errors: `mission_unknown`."""
        await self._missions.get(mission_id, requester)
        return await self._store.read(ListArtifacts(mission_id=mission_id))
