"""Where a turn goes, and the one reason why: the first that matches, in the order of the gateway contract."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from dragancorp.gateway.turns import Turn
from dragancorp.settings import LaneFlags

EXCLUDED_SOURCES = frozenset({"cron", "heartbeat", "webhook"})


class RoutingReason(StrEnum):
    """Why a turn went where it went; the order is the precedence."""

    FORCED_FALLBACK = "forced_fallback"
    FEATURE_DISABLED = "feature_disabled"
    SOURCE_EXCLUDED = "source_excluded"
    INTENT_NOT_MATCHED = "intent_not_matched"
    SHADOW_MODE = "shadow_mode"
    ELIGIBLE = "eligible"


@dataclass(frozen=True)
class Route:
    """A lane as routing knows it, from its configuration and its flags."""

    vp_id: str
    lane: Mapping[str, Any]
    flags: LaneFlags

    @property
    def label(self) -> str:
        """The name in event types operators know: `coder_vp` for the flag `CODER_VP`, otherwise from the vp_id."""
        flag = self.lane.get("flag")
        return str(flag).lower() if flag else self.vp_id.removeprefix("vp.").replace(".", "_").replace("-", "_")

    @property
    def fallback_path(self) -> str:
        """The recorded name of the primary path."""
        return str(self.lane.get("fallback_path", "primary"))

    @cached_property
    def _intent(self) -> re.Pattern[str] | None:
        words = [*self.lane.get("aliases", ()), *self.lane.get("markers", ())]
        if not words:
            return None
        # Whole words only: "capital" does not contain "api". Longer ones first, so that the match names them.
        either = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
        return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)

    def matched(self, text: str) -> str | None:
        """The alias or marker that stands in the text as a whole word; None: the lane is not meant."""
        if self._intent is None:
            return None
        found = self._intent.search(text)
        return found.group(0) if found else None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Where a turn goes. `route` is the lane it was about, None when there is no lane at all."""

    reason: RoutingReason
    route: Route | None
    matched: str | None = None

    @property
    def delegate(self) -> bool:
        """Whether the lane gets it."""
        return self.reason is RoutingReason.ELIGIBLE


class Router:
    """Decides from configuration and flags alone: no query, the same answer every time."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)

    def decide(self, turn: Turn) -> Decision:
        """The first lane that is meant and on decides; when none is, the lane that came closest."""
        closest = Decision(reason=RoutingReason.FEATURE_DISABLED, route=None)
        for route in self.routes:
            decision = _decide(turn, route)
            if decision.delegate:
                return decision
            if closest.route is None or _rank(decision) > _rank(closest):
                closest = decision
        return closest


def _rank(decision: Decision) -> int:
    return list(RoutingReason).index(decision.reason)


def _decide(turn: Turn, route: Route) -> Decision:
    flags = route.flags
    if flags.force_fallback:
        return Decision(reason=RoutingReason.FORCED_FALLBACK, route=route)
    if not flags.on:
        return Decision(reason=RoutingReason.FEATURE_DISABLED, route=route)
    if turn.source in EXCLUDED_SOURCES:
        return Decision(reason=RoutingReason.SOURCE_EXCLUDED, route=route)
    matched = route.matched(turn.text)
    if matched is None:
        return Decision(reason=RoutingReason.INTENT_NOT_MATCHED, route=route)
    reason = RoutingReason.SHADOW_MODE if flags.shadow_mode else RoutingReason.ELIGIBLE
    return Decision(reason=reason, route=route, matched=matched)
