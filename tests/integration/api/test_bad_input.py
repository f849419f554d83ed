"""Bad input: a clear error with a stable code, and nothing stored."""

import asyncio
import json
from typing import Any

import pytest

from .conftest import CODER, EXPIRED, OTHER, READER, Api, assert_problem, envelope

pytestmark = pytest.mark.anyio
JSON = {"Content-Type": "application/json"}


async def _nothing_is_stored(api: Api) -> None:
    assert (await api.call("GET", "/api/v1/missions")).json()["missions"] == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "syntax"),
        (b"", "syntax"),
        (b'{"budget": NaN}', "not_a_number"),
        (b'{"budget": Infinity}', "not_a_number"),
        (b'{"budget": 1e999}', "number_out_of_range"),
        (b'{"vp_id": "a", "vp_id": "b"}', "duplicate_key"),
        (b'{"objective": "\\ud800"}', "lone_surrogate"),
        (b'{"objective": "\xff"}', "not_utf8"),
        (b"[" * 10_000 + b"]" * 10_000, "too_deep"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too_deep"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_not_strict_json_is_refused_with_the_reason(api: Api, body: bytes, reason: str) -> None:
    refused = await api.call("POST", "/api/v1/missions", content=body, headers=JSON)
    assert assert_problem(refused, 400, "json_invalid")["facts"]["reason"] == reason
    await _nothing_is_stored(api)


async def test_a_body_over_the_limit_is_refused_however_it_is_sent(api: Api) -> None:
    large = json.dumps(envelope(objective="x" * 2_000_000)).encode()
    refused = await api.call("POST", "/api/v1/missions", content=large, headers=JSON)
    assert_problem(refused, 413, "body_too_large")

    async def pieces() -> Any:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    refused = await api.call("POST", "/api/v1/missions", content=pieces(), headers=JSON)
    assert_problem(refused, 413, "body_too_large")
    await _nothing_is_stored(api)


async def test_another_media_type_is_refused(api: Api) -> None:
    refused = await api.call("POST", "/api/v1/missions", content=b"vp_id=1", headers={"Content-Type": "text/plain"})
    assert_problem(refused, 415, "media_type_unsupported")


async def test_every_broken_rule_is_named_with_its_place(api: Api) -> None:
    broken = envelope(vp_id="Coder", objective="", priority_class="now", colour="red", budget={"max_llm_calls": -1})
    problem = assert_problem(await api.call("POST", "/api/v1/missions", json=broken), 422, "document_invalid")
    found = {(violation["pointer"], violation["rule"]) for violation in problem["violations"]}
    assert found == {
        ("", "mission-envelope/v1#/additionalProperties"),
        ("/vp_id", "common/v1#/$defs/vp_id/pattern"),
        ("/objective", "mission-envelope/v1#/properties/objective/minLength"),
        ("/priority_class", "mission-envelope/v1#/properties/priority_class/enum"),
        ("/budget/max_llm_calls", "mission-envelope/v1#/properties/budget/properties/max_llm_calls/minimum"),
    }
    await _nothing_is_stored(api)


async def test_rules_that_no_schema_can_say_are_kept_too(api: Api) -> None:
    window = {"start_at": "2026-05-01T10:00:00Z", "end_at": "2026-05-01T10:00:00+02:00"}
    refused = await api.dispatch(autonomy_window=window)
    problem = assert_problem(refused, 422, "document_invalid")
    assert [violation["rule"] for violation in problem["violations"]] == ["ENV-1"]


@pytest.mark.parametrize("mission_id", ["../../etc/passwd", "..", "a/b", "a\\b", ".hidden", "x" * 200, "nul\u0000"])
async def test_ids_that_climb_out_are_refused(api: Api, mission_id: str) -> None:
    refused = await api.dispatch(mission_id=mission_id)
    problem = assert_problem(refused, 422, "document_invalid")
    assert problem["violations"][0]["pointer"] == "/mission_id"
    await _nothing_is_stored(api)


async def test_an_unknown_lane_and_an_unknown_mission_are_404(api: Api) -> None:
    assert_problem(await api.dispatch(vp_id="vp.nobody"), 404, "lane_unknown")
    assert_problem(await api.call("GET", "/api/v1/missions/nothing"), 404, "mission_unknown")
    assert_problem(await api.call("GET", "/api/v1/missions/nothing/events"), 404, "mission_unknown")
    assert_problem(await api.call("POST", "/api/v1/missions/nothing/cancel"), 404, "mission_unknown")
    assert_problem(await api.call("GET", "/api/v1/vp/sessions/vp.nobody"), 404, "session_unknown")


async def test_a_command_outside_the_allow_list_is_refused_before_anything_is_stored(api: Api) -> None:
    refused = await api.call("POST", "/api/v1/missions", json=envelope("echo fine", "rm -rf /"))
    problem = assert_problem(refused, 422, "command_not_allowed")
    assert problem["violations"][0]["pointer"] == "/extensions/0/value/steps/1/run"
    await _nothing_is_stored(api)


async def test_a_required_extension_that_the_lane_does_not_know_is_refused(api: Api) -> None:
    mission = envelope()
    mission["extensions"].append({"uri": "https://example.org/other", "required": True, "value": 1})
    problem = assert_problem(await api.call("POST", "/api/v1/missions", json=mission), 422, "extension_unsupported")
    assert problem["violations"][0]["pointer"] == "/extensions/1"
    await _nothing_is_stored(api)


@pytest.mark.parametrize(
    ("value", "pointer", "rule"),
    [
        (None, "/extensions", f"{CODER}/executor"),
        ({"steps": []}, "/extensions/0/value/steps", "automation-mission/v1#/properties/steps/minItems"),
        (
            {"steps": [{"run": ["echo"], "cwd": "../.."}]},
            "/extensions/0/value/steps/0",
            "automation-mission/v1#/properties/steps/items/additionalProperties",
        ),
    ],
    ids=["no commands", "none in the list", "unknown member"],
)
async def test_an_automation_mission_without_readable_commands_is_an_invalid_document(
    api: Api, value: Any, pointer: str, rule: str
) -> None:
    mission = envelope()
    mission["extensions"] = [] if value is None else [{**mission["extensions"][0], "value": value}]
    problem = assert_problem(await api.call("POST", "/api/v1/missions", json=mission), 422, "document_invalid")
    assert [(found["pointer"], found["rule"]) for found in problem["violations"]] == [(pointer, rule)]
    await _nothing_is_stored(api)


async def test_a_taken_mission_id_is_refused(api: Api) -> None:
    await api.dispatch(vp_id=OTHER, mission_id="mine")
    problem = assert_problem(await api.dispatch(vp_id=OTHER, mission_id="mine"), 422, "document_invalid")
    assert problem["violations"][0]["rule"] == "ENV-6"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=many", "limit=1&limit=2", "state=done", "parked=yes", "cursor=zz", "colour=red"],
)
async def test_a_parameter_that_is_not_valid_is_named(api: Api, query: str) -> None:
    problem = assert_problem(await api.call("GET", f"/api/v1/missions?{query}"), 400, "parameter_invalid")
    name = query.partition("=")[0]
    assert name in problem["violations"][0]["pointer"]


async def test_no_token_a_wrong_one_and_an_expired_one_are_401(api: Api) -> None:
    for token in (None, "wrong", EXPIRED):
        refused = await api.call("GET", "/api/v1/missions", token=token)
        assert_problem(refused, 401, "unauthenticated")
        assert refused.headers["www-authenticate"] == "Bearer"


async def test_both_headers_carry_a_token(api: Api) -> None:
    headers = {"x-ua-ops-token": "operator-secret"}
    assert (await api.call("GET", "/api/v1/missions", token=None, headers=headers)).status_code == 200


async def test_a_missing_scope_is_named_before_anything_is_said_about_the_mission(api: Api) -> None:
    refused = await api.call("POST", "/api/v1/missions/nothing/cancel", token=READER)
    assert assert_problem(refused, 403, "scope_missing")["facts"] == {"missing_scopes": ["missions:write"]}


async def test_an_unknown_address_and_a_wrong_method_are_told_apart(api: Api) -> None:
    assert_problem(await api.call("GET", "/api/v1/nowhere"), 404, "route_unknown")
    refused = await api.call("PUT", "/api/v1/missions")
    assert_problem(refused, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(refused.headers["allow"].replace(" ", "").split(","))


async def test_an_error_carries_the_trace_of_its_request(api: Api) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    refused = await api.call("GET", "/api/v1/missions/nothing", headers=headers)
    assert refused.json()["trace_id"] == trace_id


async def test_a_hundred_broken_requests_at_once_leave_the_server_well(api: Api) -> None:
    bodies = [b"[" * 10_000, b'{"a": NaN}', b"\xff\xfe", json.dumps(envelope(vp_id=CODER, colour=1)).encode()]
    answers = await asyncio.gather(
        *(api.call("POST", "/api/v1/missions", content=body, headers=JSON) for body in bodies * 25)
    )
    assert {answer.status_code for answer in answers} == {400, 422}
    assert (await api.dispatch()).status_code == 201
