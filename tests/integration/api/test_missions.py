"""Missions over HTTP, each answer judged by the operations document."""

import asyncio
from pathlib import Path

import pytest

from .conftest import BOUND, CODER, OTHER, READER, Api, assert_problem, envelope

pytestmark = pytest.mark.anyio


async def test_a_mission_is_accepted_run_and_told_to_its_end(api: Api) -> None:
    response = await api.dispatch()
    assert response.status_code == 201
    record = response.json()
    assert response.headers["location"] == f"/api/v1/missions/{record['mission_id']}"
    assert (record["state"], record["attempt"], record["holder"]) == ("queued", 0, "none")
    ended = await api.until(record["mission_id"], "completed", "failed")
    assert (ended["state"], ended["completed_via"], ended["attempt"]) == ("completed", "lane", 1)
    events = (await api.call("GET", f"/api/v1/missions/{record['mission_id']}/events")).json()
    assert events["terminal"] is True
    assert [event["sequence"] for event in events["events"]] == list(range(1, events["last_sequence"] + 1))
    last = events["events"][-1]
    assert last["type"] == "vp.mission.completed"
    assert "report.json" in {artifact["name"] for artifact in last["artifact_index"]}
    assert last["recommended_next_action"]


async def test_what_the_caller_left_out_is_assigned_and_what_it_sent_is_kept(api: Api) -> None:
    sent = envelope(success_criteria=["It says hello."], budget={"max_runtime_minutes": 2.5})
    record = (await api.call("POST", "/api/v1/missions", json=sent)).json()
    kept = record["envelope"]
    assert {name: kept[name] for name in sent} == sent
    assert {"mission_id", "vp_session_id", "trace_id", "created_at", "source_instance_id"} <= kept.keys()


async def test_the_same_request_again_is_the_same_mission_even_while_it_runs(api: Api) -> None:
    sent = envelope("sleep 1")
    first = (await api.call("POST", "/api/v1/missions", json=sent)).json()
    await api.until(first["mission_id"], "running")
    again = await api.call("POST", "/api/v1/missions", json=sent)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json()["mission_id"] == first["mission_id"]


async def test_two_hundred_racing_callers_make_one_mission(api: Api) -> None:
    sent = envelope(vp_id=OTHER, idempotency_key="race")
    answers = await asyncio.gather(*(api.call("POST", "/api/v1/missions", json=sent) for _ in range(200)))
    assert sorted({answer.status_code for answer in answers}) == [200, 201]
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert len({answer.json()["mission_id"] for answer in answers}) == 1


async def test_a_key_used_again_with_another_body_is_refused(api: Api) -> None:
    sent = envelope(idempotency_key="once")
    await api.call("POST", "/api/v1/missions", json=sent)
    other = await api.call("POST", "/api/v1/missions", json={**sent, "objective": "Something else"})
    assert_problem(other, 422, "idempotency_key_reused")


async def test_a_waiting_mission_is_cancelled_at_once_and_again_with_the_same_answer(api: Api) -> None:
    record = (await api.dispatch(vp_id=OTHER)).json()
    path = f"/api/v1/missions/{record['mission_id']}/cancel"
    first = await api.call("POST", path, json={"reason": "not needed"})
    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    again = await api.call("POST", path)
    assert (again.status_code, again.json()) == (200, first.json())
    events = (await api.call("GET", f"/api/v1/missions/{record['mission_id']}/events")).json()["events"]
    assert events[-1]["actor"] == {"kind": "operator", "name": "ops", "reason": "not needed", "way": "api"}


async def test_a_running_mission_is_asked_to_stop_and_then_cancelled(api: Api) -> None:
    record = (await api.dispatch(**envelope("sleep 60"))).json()
    await api.until(record["mission_id"], "running")
    asked = await api.call("POST", f"/api/v1/missions/{record['mission_id']}/cancel")
    assert (asked.status_code, asked.json()["state"]) == (202, "running")
    ended = await api.until(record["mission_id"], "cancelled")
    assert ended["reason_code"] == "cancel_requested"


async def test_a_finished_mission_cannot_be_cancelled(api: Api) -> None:
    record = (await api.dispatch()).json()
    await api.until(record["mission_id"], "completed")
    refused = await api.call("POST", f"/api/v1/missions/{record['mission_id']}/cancel")
    assert assert_problem(refused, 409, "mission_terminal")["facts"] == {"state": "completed"}


async def test_pages_hold_every_mission_once_newest_first(api: Api) -> None:
    made = []
    for _ in range(5):
        response = await api.call("POST", "/api/v1/missions", json=envelope(vp_id=CODER))
        made.append(response.json()["mission_id"])
    found: list[str] = []
    cursor = ""
    while True:
        page = (await api.call("GET", f"/api/v1/missions?limit=2{cursor}")).json()
        found += [record["mission_id"] for record in page["missions"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == made[::-1]


async def test_missions_are_listed_by_lane_and_state(api: Api) -> None:
    waiting = (await api.dispatch(vp_id=OTHER)).json()
    done = (await api.dispatch()).json()
    await api.until(done["mission_id"], "completed")
    by_lane = (await api.call("GET", f"/api/v1/missions?vp_id={OTHER}")).json()["missions"]
    by_state = (await api.call("GET", "/api/v1/missions?state=completed")).json()["missions"]
    assert [record["mission_id"] for record in by_lane] == [waiting["mission_id"]]
    assert [record["mission_id"] for record in by_state] == [done["mission_id"]]
    assert (await api.call("GET", "/api/v1/missions?parked=true")).json()["missions"] == []


async def test_events_are_read_after_a_sequence_and_waited_for(api: Api) -> None:
    record = (await api.dispatch(vp_id=OTHER)).json()
    path = f"/api/v1/missions/{record['mission_id']}/events"
    nothing = (await api.call("GET", f"{path}?after=1&wait=0.2")).json()
    assert (nothing["events"], nothing["terminal"]) == ([], False)
    waiting = asyncio.create_task(api.call("GET", f"{path}?after=1&wait=20"))
    await asyncio.sleep(0.2)
    await api.call("POST", f"/api/v1/missions/{record['mission_id']}/cancel")
    async with asyncio.timeout(5):
        told = (await waiting).json()
    assert [event["type"] for event in told["events"]] == ["vp.mission.cancelled"]


async def test_a_callback_is_kept_as_undelivered_for_every_event(api: Api) -> None:
    callback = {"status_url": "https://gateway.example/reports", "auth_mode": "none"}
    record = (await api.dispatch(vp_id=OTHER, callback=callback)).json()
    assert record["callback_undelivered"] == 1
    await api.call("POST", f"/api/v1/missions/{record['mission_id']}/cancel")
    shown = (await api.call("GET", f"/api/v1/missions/{record['mission_id']}")).json()
    assert shown["callback_undelivered"] == 2


async def test_a_queue_at_its_limit_asks_to_come_back_later(api: Api) -> None:
    for _ in range(2):
        assert (await api.dispatch(vp_id=OTHER)).status_code == 201
    refused = await api.dispatch(vp_id=OTHER)
    assert assert_problem(refused, 429, "queue_full")["retryable"] is True
    assert int(refused.headers["retry-after"]) >= 1


async def test_lane_sessions_and_the_snapshot_are_shown(api: Api) -> None:
    record = (await api.dispatch()).json()
    await api.until(record["mission_id"], "completed")
    sessions = (await api.call("GET", "/api/v1/vp/sessions")).json()["sessions"]
    assert [session["vp_id"] for session in sessions] == [CODER, OTHER]
    session = (await api.call("GET", f"/api/v1/vp/sessions/{CODER}")).json()
    assert (session["status"], session["lease_epoch"]) == ("active", 1)
    snapshot = (await api.call("GET", "/api/v1/ops/metrics/coder-vp?mission_limit=10&event_limit=5")).json()
    assert snapshot["mission_counts"] == {"completed": 1}
    assert snapshot["fallback"] == {
        "missions_considered": 1,
        "missions_with_fallback": 0,
        "rate": 0.0,
        "bound": pytest.approx(0.95),
    }
    assert len(snapshot["recent_events"]) == 5


async def test_health_readiness_and_the_document_need_no_token(api: Api) -> None:
    assert (await api.call("GET", "/healthz", token=None)).json()["status"] == "ok"
    assert (await api.call("GET", "/readyz", token=None)).json()["lanes"] == 2
    assert (await api.call("GET", "/openapi.json", token=None)).json()["openapi"].startswith("3.1")


async def test_a_planned_operation_answers_that_it_is_not_served_yet(api: Api) -> None:
    refused = await api.call("GET", "/api/v1/fleet")
    assert_problem(refused, 501, "not_implemented")


async def test_a_token_sees_only_its_lanes_and_not_what_else_exists(api: Api) -> None:
    hidden = (await api.dispatch()).json()["mission_id"]
    seen = (await api.dispatch(vp_id=OTHER)).json()["mission_id"]
    listed = (await api.call("GET", "/api/v1/missions", token=READER)).json()["missions"]
    assert [record["mission_id"] for record in listed] == [seen]
    refused = await api.call("GET", f"/api/v1/missions/{hidden}", token=READER)
    assert_problem(refused, 404, "mission_unknown")
    assert (await api.call("GET", f"/api/v1/missions?vp_id={CODER}", token=READER)).json()["missions"] == []


async def test_a_token_bound_to_a_source_speaks_for_no_other(api: Api) -> None:
    refused = await api.call("POST", "/api/v1/missions", token=BOUND, json=envelope(source_instance_id="gateway-8"))
    assert_problem(refused, 403, "source_mismatch")
    record = (await api.call("POST", "/api/v1/missions", token=BOUND, json=envelope())).json()
    assert record["source_instance_id"] == "gateway-7"


async def test_a_mission_under_approval_waits_and_can_be_cancelled(api: Api) -> None:
    record = (await api.dispatch(constraints={"approval_required": ["*"]})).json()
    assert (record["state"], record["reason_code"]) == ("blocked", "approval_required")
    cancelled = await api.call("POST", f"/api/v1/missions/{record['mission_id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")


async def test_a_missing_required_output_fails_the_mission_and_says_which(api: Api) -> None:
    record = (await api.dispatch(artifact_policy={"required_outputs": ["paper.pdf"]})).json()
    ended = await api.until(record["mission_id"], "completed", "failed")
    assert (ended["state"], ended["reason_code"]) == ("failed", "outputs_missing")


async def test_documents_are_stored_as_they_came(api: Api, tmp_path: Path) -> None:
    import json
    import sqlite3

    text = json.dumps(envelope(vp_id=OTHER), indent=3).replace("Say hello", "Grüße \\u00e9")
    response = await api.call(
        "POST", "/api/v1/missions", content=text.encode(), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 201
    with sqlite3.connect(f"file:{tmp_path}/state.db?mode=ro", uri=True) as database:
        assert database.execute("SELECT document FROM vp_missions").fetchone() == (text,)


async def test_a_request_that_waits_when_the_plane_closes_is_told_so(api: Api) -> None:
    record = (await api.dispatch(vp_id=OTHER)).json()
    path = f"/api/v1/missions/{record['mission_id']}/events"
    waiting = asyncio.create_task(api.call("GET", f"{path}?after=1&wait=30"))
    await asyncio.sleep(0.3)
    await api.plane.close()
    async with asyncio.timeout(5):
        refused = await waiting
    assert assert_problem(refused, 503, "shutting_down")["retryable"] is True
