"""What a plane tells Prometheus: counters kept by the writer, how lanes are, and where their rollouts stand.

Names follow Prometheus' conventions: base units, `_total` for what only grows. Labels name lanes, states, events and
reasons; never a mission or a session, of which there is no end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from dragancorp.registry.queries import LaneRecord
from dragancorp.rollout.effect import effective_stage
from dragancorp.rollout.rollouts import Judged
from dragancorp_contracts.lifecycle import SessionState

Labelled = tuple[tuple[str, ...], float]


@dataclass(frozen=True, kw_only=True)
class LaneMeasured:
    """One lane as it is measured: its record, its counters by kind and name, and how its rollout is judged."""

    record: LaneRecord
    counters: Mapping[str, Mapping[str, int]]
    judged: Judged


class PlaneMeasured(Collector):
    """The metrics of one moment."""

    def __init__(self, lanes: Iterable[LaneMeasured], *, version: str, instance_id: str) -> None:
        self._lanes = sorted(lanes, key=lambda lane: lane.record.row.vp_id)
        self._about = {"version": version, "instance": instance_id}

    def text(self) -> str:
        """In Prometheus' text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry).decode()

    def collect(self) -> Iterable[Metric]:
        """Every family, each with what it means."""
        yield InfoMetricFamily("dragancorp_plane", "The control plane.", value=self._about)
        yield _gauge("missions", "Missions by their present state.", ("lane", "state"), self._counted("mission_state"))
        for name, kind, label, meaning in (
            ("mission_events", "mission_event", "type", "Entries of the missions' ledgers."),
            ("session_events", "session_event", "type", "Entries of the lane sessions' ledgers."),
            ("turns", "turn", "reason", "Turns that a gateway routed, by reason."),
        ):
            family = CounterMetricFamily(f"dragancorp_{name}", meaning, labels=("lane", label))
            for labels, value in self._counted(kind):
                family.add_metric(labels, value)
            yield family
        yield from self._sessions()
        yield from self._rollouts()

    def _counted(self, kind: str) -> Iterable[Labelled]:
        for lane in self._lanes:
            for name, value in sorted(lane.counters.get(kind, {}).items()):
                yield (lane.record.row.vp_id, name), value

    def _sessions(self) -> Iterable[Metric]:
        lanes = [(lane.record.row.vp_id, lane.record.row) for lane in self._lanes]
        yield _gauge(
            "lane_status",
            "1 for the status that the lane's session has.",
            ("lane", "status"),
            (((vp_id, status.value), float(row.status is status)) for vp_id, row in lanes for status in SessionState),
        )
        yield _gauge(
            "lane_held", "1 while a runtime holds the lane's lease.", ("lane",), (((v,), row.held) for v, row in lanes)
        )
        yield _gauge(
            "lane_heartbeat_timestamp_seconds",
            "When the lane's holder last gave a heartbeat.",
            ("lane",),
            (((v,), row.heartbeat_at.timestamp()) for v, row in lanes if row.heartbeat_at is not None),
        )

    def _rollouts(self) -> Iterable[Metric]:
        judged = [(lane.record.row.vp_id, lane.judged) for lane in self._lanes]
        yield _gauge(
            "rollout_stage",
            "1 for the stage that turns are routed by.",
            ("lane", "stage"),
            (((v, effective_stage(one.row, one.lane.flags).value), 1.0) for v, one in judged),
        )
        yield _gauge(
            "rollout_fallback_forced",
            "1 while the fallback is forced.",
            ("lane",),
            (((v,), j.row.forced) for v, j in judged),
        )
        yield _gauge(
            "rollout_held", "1 while somebody holds the stage.", ("lane",), (((v,), j.row.held) for v, j in judged)
        )
        yield _gauge(
            "rollout_evidence_timestamp_seconds",
            "When evidence was last stored.",
            ("lane",),
            (((v,), j.row.evidence_at.timestamp()) for v, j in judged if j.row.evidence_at is not None),
        )
        for name, member, meaning in (
            ("rollout_missions_considered", "missions_considered", "Finished missions of the stage that count."),
            ("rollout_fallback_ratio", "fallback_rate", "The share of them that the lane did not finish."),
            ("rollout_fallback_ratio_upper_bound", "upper_bound", "The one-sided upper bound on the true share."),
            ("rollout_latency_p95_seconds", "p95_seconds", "The 95th percentile of their latency."),
            (
                "rollout_lane_failures_in_a_row",
                "consecutive_lane_failures",
                "The newest ones that the lane did not finish.",
            ),
            ("rollout_delegated_ratio", "delegated_share", "Eligible turns of those whose intent matched."),
        ):
            values = [(v, one.situation.numbers[member]) for v, one in judged]
            yield _gauge(name, meaning, ("lane",), (((v,), value) for v, value in values if value is not None))


def _gauge(name: str, meaning: str, labels: tuple[str, ...], values: Iterable[tuple[Any, Any]]) -> Metric:
    family = GaugeMetricFamily(f"dragancorp_{name}", meaning, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, float(value))
    return family
