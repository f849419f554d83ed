"""Where a turn goes, and the one reason why: the first that matches, in the order of the gateway contract."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from dragancorp.gateway.cohort import percent, place
from dragancorp.gateway.turns import Turn
from dragancorp.gateway.words import WordList, normal
from dragancorp.lifecycle.rollout import RolloutRow
from dragancorp.rollout.effect import RolloutLane, effective_stage
from dragancorp.settings import LaneFlags
from dragancorp_contracts.models.rollout_policy_v1 import Stage

EXCLUDED_SOURCES = frozenset({"cron", "heartbeat", "webhook"})


class RoutingReason(StrEnum):
    """Why a turn went where it went; the order is the precedence."""

    FORCED_FALLBACK = "forced_fallback"
    FEATURE_DISABLED = "feature_disabled"
    SOURCE_EXCLUDED = "source_excluded"
    INTENT_NOT_MATCHED = "intent_not_matched"
    BELOW_THRESHOLD = "below_threshold"
    INTERNAL_SYSTEM_REQUEST = "internal_system_request"
    LANE_SATURATED = "lane_saturated"
    OUTSIDE_COHORT = "outside_cohort"
    SHADOW_MODE = "shadow_mode"
    ELIGIBLE = "eligible"


RANKS = {reason: rank for rank, reason in enumerate(RoutingReason)}


@dataclass(frozen=True)
class Route:
    """A lane as routing knows it: its configuration, its flags, and what is stored of its rollout (None: nothing)."""

    vp_id: str
    lane: Mapping[str, Any]
    flags: LaneFlags
    stored: Callable[[], RolloutRow | None] = lambda: None

    @property
    def label(self) -> str:
        """The name in event types operators know: `coder_vp` for the flag `CODER_VP`, otherwise from the vp_id."""
        flag = self.lane.get("flag")
        return str(flag).lower() if flag else self.vp_id.removeprefix("vp.").replace(".", "_").replace("-", "_")

    @property
    def fallback_path(self) -> str:
        """The recorded name of the primary path."""
        return str(self.lane.get("fallback_path", "primary"))

    @property
    def saturated_at(self) -> int | None:
        """How many unfinished missions keep further turns on the primary path."""
        return self._routing.get("saturated_at")

    @property
    def rollout(self) -> RolloutRow:
        """Where the rollout stands."""
        return RolloutLane(vp_id=self.vp_id, lane=self.lane, flags=self.flags).row(self.stored())

    @property
    def _routing(self) -> Mapping[str, Any]:
        routing: Mapping[str, Any] = self.lane.get("routing", {})
        return routing

    @cached_property
    def _intent(self) -> WordList:
        return WordList([*self.lane.get("aliases", ()), *self.lane.get("markers", ())])

    @cached_property
    def _signals(self) -> WordList:
        return WordList(self._routing.get("signals", ()))

    @cached_property
    def _internal(self) -> WordList:
        return WordList(self._routing.get("internal_markers", ()))

    def decide(self, turn: Turn, unfinished: int | None = None) -> "Decision":
        """The first reason that matches. `unfinished` missions matter only to a lane with `saturated_at`."""
        decision = Decision(reason=RoutingReason.ELIGIBLE, route=self, unfinished=unfinished)
        if self.flags.force_fallback:
            return replace(decision, reason=RoutingReason.FORCED_FALLBACK)
        if not self.flags.on:
            return replace(decision, reason=RoutingReason.FEATURE_DISABLED)
        rollout = self.rollout
        decision = replace(decision, stage=effective_stage(rollout, self.flags))
        if rollout.forced:
            return replace(decision, reason=RoutingReason.FORCED_FALLBACK)
        if decision.stage is Stage.off:
            return replace(decision, reason=RoutingReason.FEATURE_DISABLED)
        if turn.source in EXCLUDED_SOURCES:
            return replace(decision, reason=RoutingReason.SOURCE_EXCLUDED)
        return self._by_intent(turn, decision)

    def _by_intent(self, turn: Turn, decision: "Decision") -> "Decision":
        text = normal(turn.text)
        matched = self._intent.first(text)
        signals = () if matched is not None else tuple(self._signals.all(text))
        decision = replace(decision, matched=matched, signals=signals)
        if matched is None and not signals:
            return replace(decision, reason=RoutingReason.INTENT_NOT_MATCHED)
        if matched is None and len(signals) < self._routing.get("signals_needed", 2):
            return replace(decision, reason=RoutingReason.BELOW_THRESHOLD)
        if self._internal.first(text) is not None:
            return replace(decision, reason=RoutingReason.INTERNAL_SYSTEM_REQUEST)
        return self._by_reach(turn, decision)

    def _by_reach(self, turn: Turn, decision: "Decision") -> "Decision":
        if self.saturated_at is not None and (decision.unfinished or 0) >= self.saturated_at:
            return replace(decision, reason=RoutingReason.LANE_SATURATED)
        if decision.stage is Stage.shadow:
            return replace(decision, reason=RoutingReason.SHADOW_MODE)
        decision = replace(decision, cohort_place=place(self.vp_id, turn.session_id))
        if decision.cohort_place >= percent(decision.stage or Stage.off, self._routing):
            return replace(decision, reason=RoutingReason.OUTSIDE_COHORT)
        return decision


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Where a turn goes. `route` is the lane it was about, None when there is no lane at all.

    What stands beside the reason is what it was found by: `matched` is the alias or marker, `signals` the hints where
    there was neither, `cohort_place` the session's place among a hundred, `unfinished` the lane's missions.
    """

    reason: RoutingReason
    route: Route | None
    matched: str | None = None
    signals: Sequence[str] = ()
    stage: Stage | None = None
    cohort_place: int = 0
    unfinished: int | None = None

    @property
    def delegate(self) -> bool:
        """Whether the lane gets it."""
        return self.reason is RoutingReason.ELIGIBLE

    def as_json(self) -> dict[str, Any]:
        """The decision with the shape of `specs/gateway-turn`."""
        told = {
            "vp_id": None if self.route is None else self.route.vp_id,
            "matched": self.matched,
            "signals": list(self.signals) or None,
            "stage": self.stage,
            "unfinished": self.unfinished,
        }
        if RANKS[self.reason] >= RANKS[RoutingReason.OUTSIDE_COHORT] and self.reason is not RoutingReason.SHADOW_MODE:
            told["cohort_place"] = self.cohort_place
        present = {name: value for name, value in told.items() if value is not None}
        return {"reason": self.reason.value, "delegate": self.delegate, **present}


class Router:
    """Decides from configuration and flags, and from how much a lane has to do: the same answer every time."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)

    def to_count(self, turn: Turn) -> list[str]:
        """Lanes whose unfinished missions the decision depends on; as a rule none, and then nothing is looked up."""
        return [
            route.vp_id
            for route in self.routes
            if route.saturated_at is not None
            and RANKS[route.decide(turn, unfinished=0).reason] > RANKS[RoutingReason.LANE_SATURATED]
        ]

    def decide(self, turn: Turn, unfinished: Mapping[str, int] | None = None) -> Decision:
        """The first lane that is meant and on decides; when none is, the lane that came closest."""
        closest = Decision(reason=RoutingReason.FEATURE_DISABLED, route=None)
        for decision in self.considered(turn, unfinished or {}):
            if decision.delegate:
                return decision
            if closest.route is None or RANKS[decision.reason] > RANKS[closest.reason]:
                closest = decision
        return closest

    def considered(self, turn: Turn, unfinished: Mapping[str, int]) -> list[Decision]:
        """What each lane says to the turn, in the order they are asked."""
        return [route.decide(turn, unfinished.get(route.vp_id)) for route in self.routes]
