"""A lane's rollout: where it stands, evidence, and what operators and the controller do to it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lifecycle.commands import By
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.lifecycle.rollout import RolloutAct, RolloutCommand, RolloutRow
from dragancorp.registry.identifiers import new_id
from dragancorp.registry.port import Store
from dragancorp.registry.rollouts import (
    ActOnRollout,
    ListRollouts,
    Observed,
    ReadChanges,
    ReadEvidence,
    ReadObserved,
    RolloutStepped,
    StoreEvidence,
)
from dragancorp.rollout.effect import RolloutLane, effective_stage
from dragancorp.rollout.findings import Situation, decide, findings, gates
from dragancorp.rollout.numbers import numbers, statement
from dragancorp.rollout.policy import RolloutPolicy
from dragancorp_contracts.models.rollout_policy_v1 import Action, Stage

ALL_MISSIONS = 500  # the most that a stage is judged by, the newest; as many as the contract lets a window have
ENTRIES = 200  # of the session's ledger
SHADOWED = frozenset({Stage.off, Stage.shadow})
CHANGES_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Window:
    """What a capture looks at: its profile and limits, and what people call it (`CaptureRequest`)."""

    profile: str = "rollout"
    mission_limit: int | None = None
    event_limit: int | None = None
    label: str | None = None
    scope: str | None = None
    reference: str | None = None
    notes: str | None = None
    source: str = "direct"


def window_from(asked: Mapping[str, Any], *, source: str) -> Window:
    """The window that a `CaptureRequest` asks for."""
    return Window(
        profile=asked.get("profile", "rollout"),
        mission_limit=asked.get("mission_limit"),
        event_limit=asked.get("event_limit"),
        label=asked.get("window_label"),
        scope=asked.get("scope"),
        reference=asked.get("reference"),
        notes=asked.get("notes"),
        source=source,
    )


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A lane as it was seen and what that leads to."""

    lane: RolloutLane
    situation: Situation
    observed: Observed
    findings: Mapping[str, str]
    decision: str
    action: Action
    mission_limit: int
    event_limit: int

    @property
    def row(self) -> RolloutRow:
        """Where its rollout stood."""
        return self.situation.row


class Rollouts:
    """The rollouts of the lanes of one control plane."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        policy: RolloutPolicy,
        lanes: Sequence[RolloutLane],
        *,
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`changed` is awaited after every act of this process, so that its gateway knows at once."""
        self.policy = policy
        self.lanes = {lane.vp_id: lane for lane in lanes}
        self._store = store
        self._clock = clock
        self._changed = changed

    def lane(self, vp_id: str) -> RolloutLane:
        """The lane. Raises `lane_unknown`."""
        if vp_id not in self.lanes:
            raise DraganError(ErrorCode.LANE_UNKNOWN, f"there is no lane {vp_id!r}")
        return self.lanes[vp_id]

    async def row(self, vp_id: str) -> RolloutRow:
        """Where the lane's rollout stands. Raises `lane_unknown`."""
        lane = self.lane(vp_id)
        return lane.row((await self._store.read(ListRollouts())).get(vp_id))

    async def judged(self, vp_id: str, window: Window | None = None, *, blind_seconds: float = 0.0) -> Judged:
        """Look at the lane now and decide by the policy; only reads. Raises `lane_unknown`."""
        window = window or Window()
        lane, row = self.lane(vp_id), await self.row(vp_id)
        sustained, confidence = self.policy.document["sustained"], self.policy.document["confidence"]
        by_watch = window.profile == "sustained"
        mission_limit = window.mission_limit or (sustained["mission_limit"] if by_watch else ALL_MISSIONS)
        event_limit = window.event_limit or (sustained["event_limit"] if by_watch else ENTRIES)
        observed = await self._store.read(
            ReadObserved(
                vp_id=vp_id,
                after_position=row.since_position,
                since=row.since,
                shadow=row.stage in SHADOWED,
                traffic=self.policy.counts(row.stage),
                limit=ALL_MISSIONS,
                entries=event_limit,
            )
        )
        situation = Situation(
            policy=self.policy,
            row=row,
            flags=lane.flags,
            numbers=numbers(observed, confidence, mission_limit),
            sustained_numbers=numbers(observed, confidence, sustained["mission_limit"]),
            alarm_numbers=numbers(observed, confidence, self.policy.document["alarm"]["window_missions"]),
            blind_seconds=blind_seconds,
        )
        found = findings(situation)
        decision, action = decide(self.policy, row.stage, found)
        return Judged(
            lane=lane,
            situation=situation,
            observed=observed,
            findings=found,
            decision=decision,
            action=Action(action),
            mission_limit=mission_limit,
            event_limit=event_limit,
        )

    async def status(self, vp_id: str) -> dict[str, Any]:
        """Where the lane stands, as `RolloutStatus` of the ops API has it; only reads. Raises `lane_unknown`."""
        judged = await self.judged(vp_id)
        row = judged.row
        evidence = await self._store.read(ReadEvidence(vp_id=vp_id, limit=1))
        changes = await self._store.read(ReadChanges(vp_id=vp_id, limit=CHANGES_SHOWN))
        edge = judged.situation.edge
        told = {
            "vp_id": vp_id,
            "stage": row.stage.value,
            "stored": row.last_sequence > 0,
            "effective_stage": effective_stage(row, judged.lane.flags).value,
            "override": row.override.value,
            "held": row.held,
            "since": None if row.since is None else utc_text(row.since),
            "decision": judged.decision,
            "action": judged.action.value,
            "next_stage": _next_stage(row, self.policy, edge),
            "numbers": dict(judged.situation.numbers),
            "statement": statement(judged.situation.numbers, self.policy.document["confidence"]),
            "gates": [gate.as_json() for gate in gates(judged.situation)],
            "findings": _as_json(judged.findings),
            "evidence": dict(evidence[0]) if evidence else None,
            "changes": [dict(change) for change in changes],
            "policy": dict(self.policy.document),
        }
        return {name: value for name, value in told.items() if value is not None}

    async def evidence(self, vp_id: str, *, limit: int = 50, before: int | None = None) -> dict[str, Any]:
        """A part of the chain, newest first, as `EvidencePage`. Raises `lane_unknown`."""
        self.lane(vp_id)
        entries = await self._store.read(ReadEvidence(vp_id=vp_id, limit=limit, before=before))
        last = entries[-1]["sequence"] if entries else 1
        return {"evidence": [dict(entry) for entry in entries], "next_before": last if last > 1 else None}

    async def capture(self, vp_id: str, by: By, window: Window | None = None) -> dict[str, Any]:
        """Look, decide, store both, chained; answers the evidence. Where the policy says so the fallback is forced.

        Errors: `lane_unknown`, `stale_epoch` when the rollout moved at that moment.
        """
        window = window or Window()
        judged = await self.judged(vp_id, window)
        stepped = await self.store(judged, by, window, then=self.forced_by(judged, by))
        if stepped is None or stepped.evidence is None:
            raise RuntimeError("evidence that is asked for is always stored")
        return dict(stepped.evidence)

    def forced_by(self, judged: Judged, by: By) -> RolloutCommand | None:
        """The forced fallback, where that is what the decision asks for."""
        if judged.action is not Action.force_fallback:
            return None
        return self._command(RolloutAct.FALLBACK_FORCED, replace(by, reason=_why(judged)))

    async def store(
        self,
        judged: Judged,
        by: By,
        window: Window,
        *,
        then: RolloutCommand | None = None,
        unless_since: datetime | None = None,
    ) -> RolloutStepped | None:
        """Store what was judged as evidence, and do `then`; None where it was `unless_since`. Errors: `stale_epoch`."""
        stepped = await self._store.execute(
            StoreEvidence(
                vp_id=judged.row.vp_id,
                initial_stage=judged.lane.initial_stage,
                document=self._document(judged, by, window),
                as_read=judged.row,
                then=then,
                unless_since=unless_since,
            )
        )
        if then is not None:
            await self._tell()
        return stepped

    async def advance(self, vp_id: str, to: Stage, by: By) -> None:
        """Take evidence of the whole stage and promote when the gates pass; under a forced fallback lift that.

        Errors: `lane_unknown`; `gate_held`, with what holds it, and the evidence is stored all the same;
        `transition_refused` for a stage that is not the next.
        """
        row = await self.row(vp_id)
        if row.forced:
            await self._lift(row, to, by)
            return
        if to is row.stage:
            return
        judged = await self.judged(vp_id)
        offered = judged.action is Action.advance and not row.held
        promotion = self._command(RolloutAct.ADVANCED, by, to=to, offered=True)
        if to is not row.next_stage or not offered:
            await self.store(judged, by, Window(), then=self.forced_by(judged, by))
            refusal = self._command(RolloutAct.ADVANCED, by, to=to)
            try:
                await self._act(vp_id, refusal)
            except DraganError as held:
                facts = {**held.facts, "decision": judged.decision, "findings": _as_json(judged.findings)}
                missing = [f"{gate.name}: {gate.detail}" for gate in gates(judged.situation) if gate.state != "passing"]
                detail = "; ".join([str(held.detail), *missing]) if held.code is ErrorCode.GATE_HELD else held.detail
                raise DraganError(held.code, detail, facts=facts) from held
            return
        await self.store(judged, by, Window(), then=promotion)

    async def _lift(self, row: RolloutRow, to: Stage, by: By) -> None:
        command = self._command(RolloutAct.FALLBACK_LIFTED, by)
        leads_to = min(row.stage, self.policy.resume_stage, key=list(Stage).index)
        if to is not leads_to:
            raise DraganError(
                ErrorCode.TRANSITION_REFUSED,
                f"the fallback is forced; lifting it leads to {leads_to.value}",
                facts={"stage": row.stage.value, "to": to.value},
            )
        await self._act(row.vp_id, command)

    async def hold(self, vp_id: str, by: By, *, lift: bool = False) -> None:
        """Refuse promotions until lifted, or lift that. Errors: `lane_unknown`."""
        await self._act(vp_id, self._command(RolloutAct.HOLD_LIFTED if lift else RolloutAct.HELD, by))

    async def roll_back(self, vp_id: str, by: By) -> None:
        """Force the fallback over the stage. Errors: `lane_unknown`."""
        await self._act(vp_id, self._command(RolloutAct.FALLBACK_FORCED, by))

    def _command(self, act: RolloutAct, by: By, *, to: Stage | None = None, offered: bool = False) -> RolloutCommand:
        return RolloutCommand(act=act, by=by, to=to, offered=offered, resume_stage=self.policy.resume_stage)

    def promotion(self, judged: Judged, by: By) -> RolloutCommand | None:
        """The promotion that the decision offers; None where it offers none, or somebody holds the stage."""
        to = judged.row.next_stage
        if judged.action is not Action.advance or to is None or judged.row.held:
            return None
        return self._command(RolloutAct.ADVANCED, by, to=to, offered=True)

    async def _act(self, vp_id: str, command: RolloutCommand) -> None:
        lane = self.lane(vp_id)
        await self._store.execute(ActOnRollout(vp_id=vp_id, initial_stage=lane.initial_stage, command=command))
        await self._tell()

    async def _tell(self) -> None:
        if self._changed is not None:
            await self._changed()

    def _document(self, judged: Judged, by: By, window: Window) -> dict[str, Any]:
        now, row, flags = self._clock.wall(), judged.row, judged.lane.flags
        oldest = min((mission.created_at for mission in judged.observed.missions), default=now)
        document = {
            "evidence_id": new_id("ev"),
            "vp_id": row.vp_id,
            "captured_at": utc_text(now),
            "captured_by": by.name,
            "source": window.source,
            "profile": window.profile,
            "window_label": window.label,
            "scope": window.scope,
            "window": {
                "from": utc_text(min(row.since or oldest, now)),
                "to": utc_text(now),
                "mission_limit": judged.mission_limit,
                "event_limit": judged.event_limit,
                "traffic": sorted(self.policy.counts(row.stage)),
            },
            "numbers": dict(judged.situation.numbers),
            "statement": statement(judged.situation.numbers, self.policy.document["confidence"]),
            "findings": _as_json(judged.findings),
            "stage": row.stage.value,
            "override": row.override.value,
            "effective_flags": {
                "enabled": flags.enabled,
                "disabled": flags.disabled,
                "shadow_mode": flags.shadow_mode,
                "force_fallback": flags.force_fallback,
            },
            "decision": judged.decision,
            "action": judged.action.value,
            "policy": {"policy_id": self.policy.document["policy_id"], "digest": self.policy.digest},
            "configuration_digest": judged.lane.configuration_digest,
            "reference": window.reference,
            "notes": window.notes,
        }
        return {name: value for name, value in document.items() if value is not None}


def _as_json(found: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"condition": name, "detail": detail} for name, detail in found.items()]


def _why(judged: Judged) -> str:
    """What made the decision: the finding of the row of the table that was taken."""
    for row in judged.situation.policy.document["decisions"]:
        if row["stage"] == judged.row.stage.value and row["condition"] in judged.findings:
            return f"{row['condition']}: {judged.findings[row['condition']]}"[:2000]
    return judged.decision


def _next_stage(row: RolloutRow, policy: RolloutPolicy, edge: Mapping[str, Any] | None) -> str | None:
    if row.forced:
        return min(row.stage, policy.resume_stage, key=list(Stage).index).value
    if row.stage is Stage.off:
        return Stage.shadow.value
    return None if edge is None else str(edge["to"])
