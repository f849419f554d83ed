"""Every cause that keeps a mission from running, or from being finished, and the one answer to it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.missions.why import Answer, Surroundings, explain
from dragancorp.registry.queries import COUNTED_AHEAD, LaneRecord
from dragancorp_contracts import judge
from dragancorp_contracts.lifecycle import (
    TERMINAL_MISSION_STATES,
    Holder,
    MissionKind,
    MissionState,
    ReasonCode,
    SessionState,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(minutes=5), NOW - timedelta(minutes=5)
HELD = {"lease_owner": "o-1@77", "lease_epoch": 3, "lease_expires_at": LATER, "status": SessionState.ACTIVE}
RUNNING = {"state": MissionState.RUNNING, "holder": Holder.LANE, "attempt": 1, "lease_epoch": 3}


def asked(mission: dict[str, Any], lane: dict[str, Any] = HELD, **around: Any) -> Answer:
    """`explain` for a mission and a lane with these members."""
    row = MissionRow(
        **{
            "mission_id": "m-1",
            "vp_id": "vp.x",
            "vp_session_id": "s-1",
            "kind": MissionKind.DISPATCHED,
            "state": MissionState.QUEUED,
            "source_instance_id": "simone",
            "idempotency_key": "k",
            "request_digest": "d",
            "trace_id": "0" * 32,
            "created_at": EARLIER,
            "updated_at": EARLIER,
            "last_sequence": 1,
        }
        | mission
    )
    session = SessionRow(
        **{
            "vp_id": "vp.x",
            "vp_session_id": "s-1",
            "status": SessionState.IDLE,
            "continuity_id": "c-1",
            "created_at": EARLIER,
            "updated_at": EARLIER,
        }
        | lane
    )
    policy = around.pop("policy", LanePolicy(vp_id="vp.x"))
    return explain(row, Surroundings(lane=LaneRecord(row=session, policy=policy, unfinished={}), **around), NOW)


def blocked(reason: ReasonCode, **more: Any) -> dict[str, Any]:
    return {"state": MissionState.BLOCKED, "reason_code": reason, **more}


CAUSES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str, set[str]]] = {
    # name: the mission, its lane, what stands around, the answer's code, facts that must be among its
    "others come first": ({}, HELD, {"ahead": 7}, "queued", {"ahead", "lease_owner"}),
    "more come first than are counted": (
        *({}, HELD, {"ahead": COUNTED_AHEAD}, "queued"),
        {"ahead_at_least", "lease_owner"},
    ),
    "nobody holds the lane": ({}, {}, {}, "lane_unheld", {"status"}),
    "the lane is paused, held": ({}, HELD | {"status": SessionState.PAUSED}, {}, "lane_paused", {"lease_owner"}),
    "the lane is paused, not held": ({}, {"status": SessionState.PAUSED}, {}, "lane_paused", {"status"}),
    "the lane is in trouble": (
        *({}, HELD | {"status": SessionState.DEGRADED, "last_error": "no disk"}),
        *({}, "lane_degraded", {"last_error", "lease_expires_at"}),
    ),
    "the lane is being set up": ({}, HELD | {"status": SessionState.RECOVERING}, {}, "lane_recovering", {"status"}),
    "the lane is busy, and with whom until when": (
        *({}, HELD, {"held_by_lane": 1}, "lane_busy"),
        {"held_by_lane", "lease_owner", "lease_expires_at", "parallel_missions"},
    ),
    "the lane's quota is used up": (
        *({}, HELD, {"claims_last_hour": 4, "policy": LanePolicy(vp_id="vp.x", claims_per_hour=4)}),
        *("quota_used_up", {"claims_last_hour", "claims_per_hour"}),
    ),
    "its window has not opened": ({"window_start_at": LATER}, HELD, {}, "window_not_open", {"window_start_at"}),
    "its window has closed": ({"window_end_at": EARLIER}, HELD, {}, "window_closed", {"window_end_at"}),
    "its deadline has passed": ({"deadline_at": NOW}, HELD, {}, "deadline_passed", {"deadline_at"}),
    "it waits before another attempt": ({"not_before": LATER}, HELD, {}, "not_due", {"not_before"}),
    "its window, though nobody holds the lane": ({"window_start_at": LATER}, {}, {}, "window_not_open", {"status"}),
    "its contract's version": ({}, HELD, {"contracts_readable": False}, "contract_unreadable", {"lease_owner"}),
    "an approval before the start": (
        *(blocked(ReasonCode.APPROVAL_REQUIRED, approval_expires_at=LATER), HELD, {}),
        *("approval_required", {"decide_before"}),
    ),
    "an approval that the executor wants": (
        *(blocked(ReasonCode.APPROVAL_WANTED, holder=Holder.LANE, hold_expires_at=LATER), HELD),
        *({"wanted": {"tool": "git push"}}, "approval_wanted", {"wanted", "hold_expires_at", "holder"}),
    ),
    "an answer": (blocked(ReasonCode.INPUT_WANTED), HELD, {}, "input_wanted", set()),
    "a log-in": (blocked(ReasonCode.LOGIN_WANTED), HELD, {}, "login_wanted", set()),
    "its budget": (
        *(blocked(ReasonCode.BUDGET_EXHAUSTED, usage={"llm_calls": 9}, max_llm_calls=8), HELD, {}),
        *("budget_exhausted", {"usage", "max_llm_calls"}),
    ),
    "the primary path may take over": (
        *(blocked(ReasonCode.AWAITING_FALLBACK, cause=ReasonCode.LEASE_LOST), HELD, {}),
        *("awaiting_fallback", {"cause"}),
    ),
    "it runs": (RUNNING, HELD, {}, "running", {"lease_owner", "lease_expires_at", "attempt"}),
    "it ran when its lane got into trouble": (
        *(RUNNING, {"status": SessionState.DEGRADED, "last_error": "lease_lost"}, {}),
        *("lane_degraded", {"last_error", "attempt"}),
    ),
    "the primary path works on it": (RUNNING | {"holder": Holder.PRIMARY}, {}, {}, "running", {"holder"}),
    "its end is asked for": (
        *(RUNNING | {"cancel_requested_at": EARLIER}, HELD, {}),
        *("cancel_requested", {"cancel_requested_at", "ends_before"}),
    ),
    "it is parked": (
        *({"state": MissionState.FAILED, "reason_code": ReasonCode.ATTEMPTS_EXHAUSTED, "parked": True}, HELD, {}),
        *("parked", {"reason_code"}),
    ),
    "it has ended": ({"state": MissionState.COMPLETED, "finished_at": NOW}, HELD, {}, "ended", {"finished_at"}),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_has_its_own_answer_with_the_facts_behind_it(cause: str) -> None:
    mission, lane, around, code, facts = CAUSES[cause]
    answer = asked(mission, lane, **around)
    assert (answer.code, facts - answer.facts.keys()) == (code, set())
    document = {"mission_id": "m-1", "code": answer.code, "sentence": answer.sentence, "facts": dict(answer.facts)}
    assert judge.violations_at("ops-api/v1/openapi.json#/components/schemas/Why", document) == []
    assert answer.sentence.endswith(".")


def test_whatever_the_states_there_is_an_answer() -> None:
    for state in MissionState:
        for status in SessionState:
            for held in ({}, {name: HELD[name] for name in ("lease_owner", "lease_epoch")}):
                answer = asked({"state": state}, {**held, "status": status})
                assert answer.code
                assert (answer.code == "ended") == (state in TERMINAL_MISSION_STATES)
