"""What operators decide about missions: approve, deny, run again; and the answer to why one does not run."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.jsonio import loads
from dragancorp.lifecycle.commands import MissionCommand
from dragancorp.missions.commands import Missions, Requester
from dragancorp.missions.envelopes import ASSIGNABLE, MICRO
from dragancorp.missions.why import Answer, Surroundings, explain
from dragancorp.registry.operations import Dispatched, StepMission, Stepped
from dragancorp.registry.port import Store
from dragancorp.registry.queries import GetLane, GetQueuePlace, ListArtifacts
from dragancorp_contracts.lifecycle import MissionState, MissionTrigger

RETRIABLE = frozenset({MissionState.FAILED, MissionState.TIMED_OUT, MissionState.CANCELLED})


class Decisions:
    """Decisions about missions in a `Store`."""

    def __init__(self, store: Store, missions: Missions, clock: Clock) -> None:
        self._store = store
        self._missions = missions
        self._clock = clock

    async def approve(self, mission_id: str, requester: Requester, decision: Mapping[str, Any]) -> Stepped:
        """Let a blocked mission go on; `decision` may raise its limits (`max_llm_calls`, `max_cost_usd`).

        Errors: `mission_unknown`, `mission_terminal`, `transition_refused` when it waits for no decision,
        `document_invalid` when its usage is above the new limits.
        """
        content: dict[str, Any] = {}
        if "max_llm_calls" in decision:
            content["max_llm_calls"] = decision["max_llm_calls"]
        if "max_cost_usd" in decision:
            content["max_cost_microusd"] = int(Decimal(str(decision["max_cost_usd"])) * MICRO)
        return await self._step(mission_id, requester, MissionTrigger.APPROVE, content)

    async def deny(self, mission_id: str, requester: Requester) -> Stepped:
        """End a blocked mission. Errors: `mission_unknown`, `mission_terminal`, `transition_refused`."""
        return await self._step(mission_id, requester, MissionTrigger.DENY, {})

    async def _step(
        self, mission_id: str, requester: Requester, trigger: MissionTrigger, content: dict[str, Any]
    ) -> Stepped:
        stored = await self._missions.get(mission_id, requester)
        if requester.by.reason:
            content["summary"] = requester.by.reason
        command = MissionCommand(trigger=trigger, by=requester.by, attempt_as_read=stored.row.attempt, content=content)
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
        place = await self._store.read(GetQueuePlace(mission_id=mission_id, vp_id=vp_id, now=now))
        around = Surroundings(
            lane=lane, held_by_lane=place.held_by_lane, claims_last_hour=place.claims_last_hour, ahead=place.ahead
        )
        return explain(stored.row, around, now)

    async def artifacts(self, mission_id: str, requester: Requester) -> tuple[Mapping[str, Any], ...]:
        """What a mission left behind, by name. Errors: `mission_unknown`."""
        await self._missions.get(mission_id, requester)
        return await self._store.read(ListArtifacts(mission_id=mission_id))
