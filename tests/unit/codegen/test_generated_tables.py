"""What is generated from data says what the data says, name by name."""

from enum import StrEnum
from typing import Any

import pytest
from litestar import Litestar

from dragancorp_contracts import errors, lifecycle, resources
from dragancorp_contracts.api import controllers, operations, records, service

TABLE = resources.read_document("lifecycle", file="lifecycle.json")
ENUMS: list[tuple[type[StrEnum], list[str]]] = [
    (lifecycle.MissionState, [one["name"] for one in TABLE["states"]["mission"]]),
    (lifecycle.SessionState, [one["name"] for one in TABLE["states"]["session"]]),
    (lifecycle.MissionTrigger, [one["name"] for one in TABLE["triggers"]["mission"]]),
    (lifecycle.SessionTrigger, [one["name"] for one in TABLE["triggers"]["session"]]),
    (lifecycle.MissionKind, [one["name"] for one in TABLE["kinds"]]),
    (lifecycle.Holder, [one["name"] for one in TABLE["holders"]]),
    (lifecycle.Actor, [one["name"] for one in TABLE["actors"]]),
    (lifecycle.EventType, [one["name"] for one in TABLE["events"]]),
    (lifecycle.ReasonCode, [one["code"] for one in TABLE["reasons"]]),
]


@pytest.mark.parametrize(("enum", "names"), ENUMS, ids=[enum.__name__ for enum, _ in ENUMS])
def test_an_enum_holds_every_name_of_its_table_in_order(enum: type[StrEnum], names: list[str]):
    assert [member.value for member in enum] == names


def test_the_terminal_states_and_the_reasons_with_fallback_are_those_of_the_tables():
    assert {"completed", "failed", "cancelled", "timed_out"} == lifecycle.TERMINAL_MISSION_STATES
    assert {"retired"} == lifecycle.TERMINAL_SESSION_STATES
    assert {one["code"] for one in TABLE["reasons"] if one["fallback"]} == lifecycle.FALLBACK_REASONS


def test_every_row_is_there_in_order_and_unchanged():
    rows = {"mission": lifecycle.MISSION_TRANSITIONS, "session": lifecycle.SESSION_TRANSITIONS}
    for machine, transitions in rows.items():
        written = [row for row in TABLE["transitions"] if row["machine"] == machine]
        assert [as_written(row, machine) for row in transitions] == [normal(row) for row in written]


def as_written(row: lifecycle.Transition[Any, Any], machine: str) -> dict[str, Any]:
    """A generated row in the shape of the data file."""
    return {
        "id": row.id,
        "machine": machine,
        "from": sorted(row.sources),
        "triggers": sorted(row.triggers),
        "who": sorted(row.who),
        "when": list(row.when),
        "guards": list(row.guards),
        "event": row.event,
        "reason": row.reason,
        "to": row.target,
        "set": dict(row.sets),
        "note": row.note,
    }


def normal(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the data file with its sets sorted."""
    return {"note": ""} | row | {member: sorted(row[member]) for member in ("from", "triggers", "who")}


def test_every_guard_a_row_names_is_a_guard_of_its_machine():
    tables = [
        (lifecycle.MISSION_TRANSITIONS, lifecycle.MISSION_GUARDS),
        (lifecycle.SESSION_TRANSITIONS, lifecycle.SESSION_GUARDS),
    ]
    for rows, guards in tables:
        assert {name for row in rows for name in (*row.when, *row.guards)} <= guards.keys()


def test_the_catalogue_is_the_one_of_the_specs():
    written = resources.read_document("errors", file="errors.json")["errors"]
    generated = [
        {
            "code": entry.code.value,
            "status": entry.status,
            "title": entry.title,
            "hint": entry.hint,
            "retryable": entry.retryable,
        }
        for entry in errors.CATALOGUE.values()
    ]
    assert generated == written
    assert list(errors.ErrorCode) == list(errors.CATALOGUE)


def test_the_service_has_a_method_for_every_served_operation_and_no_other():
    served = {name for name, operation in operations.OPERATIONS.items() if operation.served}
    assert service.OpsService.__abstractmethods__ == served


@pytest.mark.filterwarnings("error")
def test_the_real_handlers_register_without_a_warning():
    methods = dict.fromkeys(service.OpsService.__abstractmethods__, lambda self: None)
    whole = type("Whole", (service.OpsService,), methods)
    app = Litestar(
        controllers.build_handlers(whole(), lambda headers: records.Principal(name="x", scopes=frozenset())),
        openapi_config=None,
    )
    served = {path.replace(":str", "") for path in app.route_handler_method_map}
    assert served == {operation.path for operation in operations.OPERATIONS.values()}
