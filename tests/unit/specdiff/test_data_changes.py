"""Changes of the error catalogue, the life cycle's tables and the HTTP operations, on the contracts of the house."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dragancorp_contracts import resources
from tests.unit.specdiff.contracts import differences, summary

ERRORS = "errors/v1/errors.json"
LIFECYCLE = "lifecycle/v1/lifecycle.json"
API = "ops-api/v1/openapi.json"
DISPATCH = ("/api/v1/missions", "post")
HEALTH = ("/healthz", "get")
EVENTS = ("/api/v1/missions/{mission_id}/events", "get")


def edited(path: str, edit: Callable[[Any], object]) -> dict[str, str]:
    """What an edit of one of the house's own files is called."""
    name, version, file = path.split("/")
    before = resources.read_document(name, version, file)
    after = copy.deepcopy(before)
    edit(after)
    return summary(differences({path: before}, {path: after}))


def transition(tables: Any, name: str = "M3") -> Any:
    return next(step for step in tables["transitions"] if step["id"] == name)


def operation(document: Any, at: tuple[str, str] = DISPATCH) -> Any:
    return document["paths"][at[0]][at[1]]


def test_an_error_code_is_a_promise_to_its_readers() -> None:
    new = {"code": "brand_new", "status": 409, "title": "New", "hint": "Wait.", "retryable": False}

    assert edited(ERRORS, lambda data: data["errors"].pop(0)) == {"DIF-40": "CK"}
    assert edited(ERRORS, lambda data: data["errors"].append(new)) == {"DIF-41": ""}
    assert edited(ERRORS, lambda data: data["errors"][0].update(status=422)) == {"DIF-42": "C"}
    assert edited(ERRORS, lambda data: data["errors"][0].update(retryable=True)) == {"DIF-43": "C"}
    assert edited(ERRORS, lambda data: data["errors"][0].update(hint="Said better.")) == {"DIF-9": ""}
    assert edited(ERRORS, lambda data: data["errors"].reverse()) == {}


@pytest.mark.parametrize("table", ["events", "reasons", "actors", "guards", "kinds", "holders"])
def test_a_word_of_the_life_cycle_is_never_taken_away(table: str) -> None:
    assert edited(LIFECYCLE, lambda data: data[table].pop()) == {"DIF-50": "CKP"}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda data: data["states"]["mission"].pop(), {"DIF-50": "CKP"}),
        (lambda data: data["states"]["mission"].append({"name": "paused", "terminal": False}), {"DIF-51": "C"}),
        (lambda data: data["triggers"]["mission"].append({"name": "nudge"}), {"DIF-52": ""}),
        (lambda data: data["states"]["mission"][0].update(terminal=True), {"DIF-53": "C"}),
        (lambda data: data["reasons"][0].update(fallback=False), {"DIF-53": "C"}),
        (lambda data: data["reasons"][0].update(description="Said better."), {"DIF-9": ""}),
        (lambda data: data["transitions"].pop(), {"DIF-54": "CP"}),
        (lambda data: data["transitions"].append({**transition(data), "id": "M99"}), {"DIF-55": "C"}),
        (lambda data: transition(data)["guards"].append("fence"), {"DIF-56": "P"}),
        (lambda data: transition(data)["who"].clear(), {"DIF-56": "P"}),
        (lambda data: transition(data)["guards"].clear(), {"DIF-57": ""}),
        (lambda data: transition(data)["who"].append("operator"), {"DIF-57": ""}),
        (lambda data: transition(data)["from"].append("completed"), {"DIF-55": "C"}),
        (lambda data: transition(data).update(to="failed"), {"DIF-58": "C"}),
        (lambda data: data["refusals"][0].update(code="stale_epoch"), {"DIF-59": "C"}),
    ],
)
def test_a_step_of_the_life_cycle_is_classified_by_who_relied_on_it(
    edit: Callable[[Any], object], expected: dict[str, str]
) -> None:
    assert edited(LIFECYCLE, edit) == expected


def parameter(*, required: bool) -> dict[str, Any]:
    return {"name": "colour", "in": "query", "required": required, "schema": {"type": "string"}}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda data: data["paths"].pop(DISPATCH[0]), {"DIF-60": "KP"}),
        (lambda data: data["paths"].update({"/new": {"get": operation(data, EVENTS)}}), {"DIF-61": ""}),
        (lambda data: operation(data).update(operationId="send_mission"), {"DIF-62": "K"}),
        (lambda data: operation(data).update({"x-dragan-status": "planned"}), {"DIF-63": "P"}),
        (lambda data: operation(data).update(parameters=[parameter(required=True)]), {"DIF-65": "P"}),
        (lambda data: operation(data).update(parameters=[parameter(required=False)]), {"DIF-66": ""}),
        (lambda data: operation(data, EVENTS)["parameters"].pop(0), {"DIF-67": "KP"}),
        (lambda data: operation(data, EVENTS)["parameters"][0].update(required=True), {"DIF-68": "P"}),
        (lambda data: operation(data, EVENTS)["parameters"][1]["schema"].update(maximum=10), {"DIF-25": "P"}),
        (lambda data: operation(data, EVENTS)["parameters"][1]["schema"].update(maximum=10**6), {"DIF-26": ""}),
        (lambda data: operation(data).pop("requestBody"), {"DIF-84": "", "DIF-71": "P"}),
        (lambda data: operation(data)["requestBody"].update(required=False), {"DIF-84": ""}),
        (lambda data: operation(data)["responses"].pop("200"), {"DIF-72": "C"}),
        (lambda data: operation(data)["responses"].update({"202": {"description": "Later."}}), {"DIF-73": "C"}),
        (lambda data: operation(data)["responses"].update({"423": {"description": "Locked."}}), {"DIF-74": ""}),
        (lambda data: operation(data)["responses"]["201"]["headers"].clear(), {"DIF-75": "C"}),
        (lambda data: operation(data)["x-dragan-scopes"].append("ops:read"), {"DIF-77": "P"}),
        (lambda data: operation(data)["x-dragan-scopes"].clear(), {"DIF-78": ""}),
        (lambda data: operation(data)["x-dragan-limits"].update(body_bytes=1024), {"DIF-79": "P"}),
        (lambda data: operation(data)["x-dragan-limits"].update(body_bytes=2**21), {"DIF-80": ""}),
        (lambda data: operation(data).update({"x-dragan-level": "ops"}), {"DIF-81": "P"}),
        (lambda data: data["security"].pop(), {"DIF-83": "P"}),
        (lambda data: data["security"].append({}), {}),
        (lambda data: data["security"][0].update(ops_token=[]), {"DIF-83": "P"}),
        (lambda data: operation(data).update(security=[]), {}),
        (lambda data: operation(data).update(security=data["security"][:1]), {"DIF-83": "P"}),
        (lambda data: operation(data, HEALTH).pop("security"), {"DIF-83": "P"}),
        (lambda data: data["components"]["securitySchemes"]["bearer"].update(scheme="basic"), {"DIF-85": "P"}),
        (lambda data: data["components"]["securitySchemes"]["bearer"].update(description="Said better."), {}),
        (lambda data: data.update(servers=[{"url": "/elsewhere"}]), {"DIF-86": "P"}),
        (lambda data: data["servers"].append({"url": "/elsewhere"}), {}),
        (lambda data: operation(data, EVENTS)["parameters"][0].update(style="form", explode=True), {}),
        (lambda data: operation(data, EVENTS)["parameters"][0].update(explode=False), {"DIF-87": "P"}),
    ],
)
def test_an_operation_is_classified_by_what_its_callers_send_and_meet(
    edit: Callable[[Any], object], expected: dict[str, str]
) -> None:
    assert edited(API, edit) == expected


def test_a_header_that_was_always_there_may_not_be_left_out_and_one_that_was_not_may_come_always() -> None:
    before = resources.read_document("ops-api", "v1", "openapi.json")
    always = copy.deepcopy(before)
    operation(always)["responses"]["201"]["headers"]["Location"]["required"] = True

    assert summary(differences({API: always}, {API: before})) == {"DIF-88": "C"}
    assert summary(differences({API: before}, {API: always})) == {}


def test_what_was_only_planned_may_change_freely() -> None:
    planned = {"x-dragan-status": "planned"}
    before = resources.read_document("ops-api", "v1", "openapi.json")
    operation(before).update(planned)
    changed, served = copy.deepcopy(before), copy.deepcopy(before)
    operation(changed)["x-dragan-scopes"].append("ops:write")
    operation(served).pop("x-dragan-status")

    assert summary(differences({API: before}, {API: changed})) == {"DIF-82": ""}
    assert summary(differences({API: before}, {API: served})) == {"DIF-64": ""}


def test_a_shape_in_an_answer_is_read_tolerantly_and_one_in_a_request_strictly() -> None:
    def answer(data: Any) -> None:
        data["components"]["schemas"]["MissionPage"]["properties"]["more"] = {"type": "boolean"}

    def widened(data: Any) -> None:
        data["components"]["schemas"]["CancelRequest"]["properties"]["reason"]["maxLength"] = 4000

    assert edited(API, answer) == {"DIF-11": ""}
    assert edited(API, widened) == {"DIF-26": ""}


def test_a_data_file_that_no_rule_reads_is_breaking_until_somebody_says_otherwise() -> None:
    found = differences({"x/v1/colours.json": ["red"]}, {"x/v1/colours.json": ["blue"]})

    assert summary(found) == {"DIF-38": "CP"}
    assert not found[0].certain
