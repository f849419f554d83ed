"""What operators do over HTTP: each answer judged by the operations document, each deed under a name."""

from typing import Any

import pytest

from dragancorp_contracts.api.operations import OPERATIONS
from dragancorp_contracts.lifecycle import MissionTrigger, ReasonCode

from .conftest import BOUND, CODER, OTHER, READER, Api, assert_problem, envelope
from .ledger_writer import LedgerWriter

pytestmark = pytest.mark.anyio
HELD = {"constraints": {"approval_required": ["*"]}}
OPS = {"kind": "operator", "name": "ops", "way": "api"}
DECISIONS = {"approve": {}, "deny": {}, "retry": {}}
LANE_ORDERS = ("drain", "resume", "reset", "retire")


async def last_event(api: Api, mission_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await api.call("GET", f"/api/v1/missions/{mission_id}/events")).json()["events"][-1]
    return found


async def test_an_approval_lets_a_mission_start_and_names_who_gave_it(api: Api) -> None:
    path = f"/api/v1/missions/{(await api.dispatch(**HELD)).json()['mission_id']}"
    why = (await api.call("GET", f"{path}/why")).json()
    assert (why["code"], "decide_before" in why["facts"]) == ("approval_required", True)
    approved = await api.call("POST", f"{path}/approve", json={"reason": "fine"})
    assert approved.status_code == 200
    assert approved.json()["state"] != "blocked"  # its lane may have claimed it already
    events = (await api.call("GET", f"{path}/events?after=2")).json()["events"]
    assert events[0]["actor"] == OPS | {"reason": "fine"}
    await api.until(path.rpartition("/")[2], "completed")
    assert_problem(await api.call("POST", f"{path}/approve", json={}), 409, "mission_terminal")
    artifacts = (await api.call("GET", f"{path}/artifacts")).json()["artifacts"]
    assert "report.json" in {artifact["name"] for artifact in artifacts}


async def test_a_denial_ends_a_mission_and_a_retry_of_it_is_one_new_mission(api: Api) -> None:
    mission_id = (await api.dispatch(**HELD)).json()["mission_id"]
    denied = await api.call("POST", f"/api/v1/missions/{mission_id}/deny", json={"reason": "no"})
    assert (denied.json()["state"], denied.json()["reason_code"]) == ("failed", "approval_denied")
    assert (await last_event(api, mission_id))["actor"] == OPS | {"reason": "no"}
    retried = await api.call("POST", f"/api/v1/missions/{mission_id}/retry")
    assert (retried.status_code, retried.json()["retry_of"]) == (201, mission_id)
    again = await api.call("POST", f"/api/v1/missions/{mission_id}/retry", json={"reason": "once more"})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json()["mission_id"] == retried.json()["mission_id"]
    unfinished = await api.call("POST", f"/api/v1/missions/{again.json()['mission_id']}/retry")
    assert_problem(unfinished, 409, "transition_refused")


async def test_a_source_may_not_run_again_what_another_dispatched(api: Api) -> None:
    mission_id = (await api.dispatch(vp_id=OTHER)).json()["mission_id"]
    await api.call("POST", f"/api/v1/missions/{mission_id}/cancel")
    refused = await api.call("POST", f"/api/v1/missions/{mission_id}/retry", token=BOUND)
    assert_problem(refused, 403, "source_mismatch")


async def test_a_raised_budget_is_judged_before_it_counts(api: Api) -> None:
    mission_id = (await api.dispatch(vp_id=OTHER, budget={"max_llm_calls": 2, "max_cost_usd": 1})).json()["mission_id"]
    writer = await LedgerWriter.claim(api.plane, OTHER)
    await writer.say(usage={"llm_calls": 3, "cost_microusd": 5})
    path = f"/api/v1/missions/{mission_id}"
    why = (await api.call("GET", f"{path}/why")).json()
    assert (why["code"], why["facts"]["wanted"]["usage"]["llm_calls"]) == ("budget_exhausted", 3)
    assert_problem(await api.call("POST", f"{path}/approve", json={}), 422, "document_invalid")
    wrong = await api.call("POST", f"{path}/approve", json={"max_llm_calls": -1, "colour": "red"})
    assert len(assert_problem(wrong, 422, "document_invalid")["violations"]) == 2
    raised = await api.call("POST", f"{path}/approve", json={"max_llm_calls": 5, "max_cost_usd": 0.5})
    assert raised.json()["state"] == "running"
    types = [event["type"] for event in (await api.call("GET", f"{path}/events?after=4")).json()["events"]]
    assert types == ["vp.mission.budget_changed", "vp.mission.resumed"]


async def test_the_answer_to_a_question_is_kept_and_that_to_another_is_refused(api: Api) -> None:
    mission_id = (await api.dispatch(vp_id=OTHER)).json()["mission_id"]
    writer = await LedgerWriter.claim(api.plane, OTHER)
    wanted = {"kind": "input_wanted", "request_id": "q-1", "message": "Which?"}
    await writer.say(MissionTrigger.BLOCK, reason=ReasonCode.INPUT_WANTED, wanted=wanted)
    path = f"/api/v1/missions/{mission_id}/approve"
    problem = assert_problem(await api.call("POST", path, json={"request_id": "q-2"}), 409, "transition_refused")
    assert problem["facts"]["request_id"] == "q-1"
    decision = {"request_id": "q-1", "answer": {"branch": "main"}}
    assert (await api.call("POST", path, json=decision)).json()["state"] == "running"
    assert (await last_event(api, mission_id))["decision"] == decision


async def test_nothing_is_decided_by_a_get_and_nothing_by_who_may_not(api: Api) -> None:
    held = (await api.dispatch(**HELD)).json()["mission_id"]
    unseen = (await api.dispatch()).json()["mission_id"]
    for name, body in DECISIONS.items():
        path = f"/api/v1/missions/{held}/{name}"
        assert_problem(await api.call("GET", path), 405, "method_not_allowed")
        assert_problem(await api.call("POST", path, token=None, json=body), 401, "unauthenticated")
        assert_problem(await api.call("POST", path, token=READER, json=body), 403, "scope_missing")
        assert_problem(await api.call("POST", f"/api/v1/missions/none/{name}", json=body), 404, "mission_unknown")
    for name in ("approve", "deny"):
        refused = await api.call("POST", f"/api/v1/missions/{held}/{name}", token=BOUND, json={})
        assert assert_problem(refused, 403, "scope_missing")["facts"] == {"missing_scopes": ["ops:write"]}
    for name in ("why", "artifacts"):
        hidden = await api.call("GET", f"/api/v1/missions/{unseen}/{name}", token=READER)
        assert_problem(hidden, 404, "mission_unknown")
    assert (await api.call("GET", f"/api/v1/missions/{held}")).json()["state"] == "blocked"
    assert OPERATIONS["approve_mission"].method == "POST"


async def test_a_lane_is_drained_resumed_reset_and_retired_each_under_a_name_and_with_a_reason(api: Api) -> None:
    path = f"/api/v1/vp/sessions/{OTHER}"
    waiting = (await api.dispatch(vp_id=OTHER)).json()["mission_id"]
    drained = await api.call("POST", f"{path}/drain", json={"reason": "maintenance"})
    assert (drained.status_code, drained.json()["status"]) == (200, "paused")
    assert (await api.call("GET", f"/api/v1/missions/{waiting}/why")).json()["code"] == "lane_paused"
    assert (await api.call("POST", f"{path}/resume", json={"reason": "done"})).json()["status"] == "idle"
    assert_problem(await api.call("POST", f"{path}/resume", json={"reason": "x"}), 409, "transition_refused")
    assert (await api.call("POST", f"{path}/reset", json={"reason": "odd"})).json()["lease_epoch"] == 1
    assert_problem(await api.call("POST", f"{path}/retire", json={"reason": "old"}), 409, "lane_busy")
    await api.call("POST", f"/api/v1/missions/{waiting}/cancel")
    assert (await api.call("POST", f"{path}/retire", json={"reason": "old"})).json()["status"] == "retired"
    assert_problem(await api.dispatch(vp_id=OTHER), 409, "lane_retired")
    from dragancorp.registry.queries import ReadSessionLedger

    told = await api.plane.store.read(ReadSessionLedger(vp_id=OTHER))
    deeds = [(event["type"], event["actor"]) for event in told if event["actor"]["kind"] == "operator"]
    assert deeds == [
        ("vp.session.paused", OPS | {"reason": "maintenance"}),
        ("vp.session.resumed", OPS | {"reason": "done"}),
        ("vp.session.reset", OPS | {"reason": "odd"}),
        ("vp.session.retired", OPS | {"reason": "old"}),
    ]


async def test_orders_to_a_lane_need_a_scope_a_reason_and_a_lane(api: Api) -> None:
    for name in LANE_ORDERS:
        path = f"/api/v1/vp/sessions/{CODER}/{name}"
        assert_problem(await api.call("GET", path), 405, "method_not_allowed")
        assert_problem(await api.call("POST", path, token=BOUND, json={"reason": "x"}), 403, "scope_missing")
        assert_problem(await api.call("POST", path, json={}), 422, "document_invalid")
        unknown = await api.call("POST", f"/api/v1/vp/sessions/vp.nobody/{name}", json={"reason": "x"})
        assert_problem(unknown, 404, "lane_unknown")
    assert (await api.call("GET", f"/api/v1/vp/sessions/{CODER}")).json()["status"] == "active"


async def test_every_lane_has_its_metrics_and_the_dashboard_looks_at_less(api: Api) -> None:
    await api.until((await api.dispatch()).json()["mission_id"], "completed")
    any_lane = (await api.call("GET", f"/api/v1/ops/metrics/vp?vp_id={CODER}")).json()
    assert any_lane["mission_counts"] == {"completed": 1}
    other = (await api.call("GET", f"/api/v1/ops/metrics/vp?vp_id={OTHER}")).json()
    assert other["mission_counts"] == {}
    dashboard = (await api.call("GET", "/api/v1/dashboard/metrics/coder-vp?event_limit=2")).json()
    assert (len(dashboard["recent_events"]), dashboard["mission_counts"]) == (2, {"completed": 1})
    assert_problem(await api.call("GET", "/api/v1/ops/metrics/vp"), 400, "parameter_invalid")
    assert_problem(await api.call("GET", "/api/v1/ops/metrics/vp?vp_id=vp.nobody"), 404, "lane_unknown")
    assert_problem(await api.call("GET", "/api/v1/dashboard/metrics/coder-vp", token=READER), 403, "scope_missing")


async def test_the_approval_of_a_mission_is_no_part_of_its_envelope(api: Api) -> None:
    sent = envelope(**HELD)
    sent["approved"] = True
    assert_problem(await api.call("POST", "/api/v1/missions", json=sent), 422, "document_invalid")


async def test_where_a_turn_would_go_is_explained_and_nothing_is_delegated(api: Api) -> None:
    asked = {"text": "CODIE, look", "session_id": "s1"}
    found = (await api.call("POST", "/api/v1/ops/routing", json=asked)).json()
    assert (found["decision"]["reason"], found["decision"]["vp_id"], found["decision"]["matched"]) == (
        "eligible",
        CODER,
        "CODIE",
    )
    assert [(one["vp_id"], one["reason"]) for one in found["considered"]] == [
        (CODER, "eligible"),
        (OTHER, "feature_disabled"),
    ]
    by_clock = (await api.call("POST", "/api/v1/ops/routing", json=asked | {"source": "cron"})).json()
    assert by_clock["decision"]["reason"] == "source_excluded"
    assert (await api.call("GET", "/api/v1/missions")).json()["missions"] == []
    metrics = (await api.call("GET", f"/api/v1/ops/metrics/vp?vp_id={CODER}")).json()
    assert metrics["delegated"] == {"turns": {}, "share": None, "minutes": []}
    assert_problem(await api.call("POST", "/api/v1/ops/routing", json={"text": "x"}), 422, "document_invalid")
    assert_problem(await api.call("POST", "/api/v1/ops/routing", json=asked, token=BOUND), 403, "scope_missing")
