"""Rollouts and metrics over HTTP: each answer judged by the operations document."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from dragancorp.rules import violations

from .conftest import CODER, OTHER, READER, Api, assert_problem

pytestmark = pytest.mark.anyio
ROLLOUT = f"/api/v1/ops/rollout/{CODER}"
MONITORING = Path(__file__).parents[3] / "docs" / "how-to" / "monitoring"
WHY = {"reason": "a test"}


async def test_a_rollout_is_shown_held_rolled_back_and_lifted_under_a_name(api: Api) -> None:
    shown = (await api.call("GET", ROLLOUT)).json()
    assert (shown["stage"], shown["stored"], shown["override"]) == ("default_on", False, "none")
    held = (await api.call("POST", f"{ROLLOUT}/hold", json=WHY)).json()
    assert held["held"] is True
    assert (await api.call("POST", f"{ROLLOUT}/hold", json=WHY | {"lift": True})).json()["held"] is False
    back = (await api.call("POST", f"{ROLLOUT}/rollback", json=WHY)).json()
    assert (back["override"], back["effective_stage"], back["next_stage"]) == ("forced_fallback", "off", "shadow")
    assert back["changes"][0]["actor"] == {"kind": "operator", "name": "ops", "reason": "a test", "way": "api"}
    lifted = (await api.call("POST", f"{ROLLOUT}/advance", json=WHY | {"to": "shadow"})).json()
    assert (lifted["stage"], lifted["override"], lifted["effective_stage"]) == ("shadow", "none", "shadow")


async def test_a_gate_that_holds_is_a_conflict_that_names_what_is_missing(api: Api) -> None:
    await api.call("POST", f"{ROLLOUT}/rollback", json=WHY)
    await api.call("POST", f"{ROLLOUT}/advance", json=WHY | {"to": "shadow"})
    refused = await api.call("POST", f"{ROLLOUT}/advance", json=WHY | {"to": "limited_cohort"})
    problem = assert_problem(refused, 409, "gate_held")
    assert "missions: 0 of 14 needed" in problem["detail"]
    assert_problem(
        await api.call("POST", f"{ROLLOUT}/advance", json=WHY | {"to": "default_on"}), 409, "transition_refused"
    )


async def test_evidence_is_captured_and_read_a_page_at_a_time(api: Api) -> None:
    for number in range(3):
        captured = await api.call("POST", f"{ROLLOUT}/evidence", json={"window_label": f"night {number}"})
        assert captured.status_code == 201
        assert violations("rollout-evidence", captured.json()) == []
    page = (await api.call("GET", f"{ROLLOUT}/evidence?limit=2")).json()
    labels = [entry["window_label"] for entry in page["evidence"]]
    assert labels == ["night 2", "night 1"]
    rest = (await api.call("GET", f"{ROLLOUT}/evidence?limit=2&before={page['next_before']}")).json()
    assert rest["evidence"][0]["window_label"] == "night 0"
    assert rest["next_before"] is None


async def test_a_capture_looks_at_as_much_as_it_is_asked(api: Api) -> None:
    asked = {"profile": "sustained", "mission_limit": 7, "event_limit": 9}
    window = (await api.call("POST", f"{ROLLOUT}/evidence", json=asked)).json()["window"]
    assert (window["mission_limit"], window["event_limit"]) == (7, 9)
    window = (await api.call("POST", f"{ROLLOUT}/evidence", json={"profile": "sustained"})).json()["window"]
    assert (window["mission_limit"], window["event_limit"]) == (60, 180)


@pytest.mark.parametrize("body", [{"to": "off"} | WHY, {"to": "shadow"}, {"to": "shadow", "reason": ""}])
async def test_an_advance_without_stage_or_reason_is_refused(api: Api, body: dict[str, str]) -> None:
    assert_problem(await api.call("POST", f"{ROLLOUT}/advance", json=body), 422, "document_invalid")


async def test_without_the_scope_nobody_steers(api: Api) -> None:
    for path in ("advance", "hold", "rollback", "evidence"):
        asked = await api.call("POST", f"{ROLLOUT}/{path}", json=WHY | {"to": "shadow"}, token=READER)
        assert_problem(asked, 403, "scope_missing")
    assert_problem(await api.call("GET", "/api/v1/ops/rollout/vp.nobody"), 404, "lane_unknown")


async def metrics(api: Api) -> dict[str, dict[tuple[str, ...], float]]:
    """Every sample by its name and the values of its labels; the text is read as Prometheus reads it."""
    answer = await api.call("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation.endswith(".")
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


async def test_prometheus_sees_missions_lanes_and_rollouts_and_no_ids(api: Api) -> None:
    mission_id = (await api.dispatch()).json()["mission_id"]
    await api.until(mission_id, "completed")
    await api.call("POST", f"{ROLLOUT}/evidence")
    await api.call("POST", f"/api/v1/ops/rollout/{OTHER}/rollback", json=WHY)
    found = await metrics(api)
    assert found["dragancorp_missions"][(CODER, "completed")] == 1
    assert found["dragancorp_mission_events_total"][(CODER, "vp.mission.completed")] == 1
    assert found["dragancorp_lane_held"] == {(CODER,): 1, (OTHER,): 0}
    assert found["dragancorp_lane_status"][(CODER, "active")] == 1
    assert found["dragancorp_rollout_stage"] == {(CODER, "default_on"): 1, (OTHER, "off"): 1}
    assert found["dragancorp_rollout_fallback_forced"] == {(CODER,): 0, (OTHER,): 1}
    assert found["dragancorp_rollout_evidence_timestamp_seconds"].keys() == {(CODER,)}
    labels = {value for samples in found.values() for values in samples for value in values}
    assert mission_id not in labels
    assert not [value for value in labels if re.match(r"[a-z]+_[0-9a-f]{16}", value)]


async def test_metrics_are_for_those_who_may_see_them_all(api: Api) -> None:
    assert_problem(await api.call("GET", "/metrics", token=READER), 403, "scope_missing")
    assert_problem(await api.call("GET", "/metrics", token=None), 401, "unauthenticated")


async def test_the_dashboard_and_the_alerts_ask_for_metrics_that_there_are(api: Api) -> None:
    await api.call("POST", f"{ROLLOUT}/evidence")
    mission_id = (await api.dispatch()).json()["mission_id"]
    await api.until(mission_id, "completed")
    text = (await api.call("GET", "/metrics")).text
    declared = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    asked += [rule["expr"] for rule in alerts]
    names = {name for expression in asked for name in re.findall(r"dragancorp_[a-z0-9_]+", expression)}
    assert names
    assert names <= declared | {f"{name}_total" for name in declared}
    runbook = (MONITORING.parent / "monitoring.md").read_text()
    headings = {line.removeprefix("### ").strip() for line in runbook.splitlines() if line.startswith("### ")}
    for rule in alerts:
        assert rule["annotations"]["runbook_url"].endswith(f"monitoring.md#{rule['alert'].lower()}")
        assert rule["alert"] in headings
