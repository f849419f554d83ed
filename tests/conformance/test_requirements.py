"""Requirements are data: each has a check, each check a requirement, and each names its place in a contract."""

import inspect

from dragancorp_conformance.checks import checks
from dragancorp_conformance.generation import excluded_operations, exclusions
from dragancorp_conformance.operations import operations
from dragancorp_conformance.requirements import requirements
from dragancorp_contracts import judge, resources


def test_every_requirement_has_a_check_and_every_check_a_requirement() -> None:
    assert {one.check for one in requirements()} == set(checks())


def test_every_check_takes_what_its_requirement_gives() -> None:
    for one in requirements():
        inspect.signature(checks()[one.check]).bind(object(), **one.arguments)


def test_every_operation_of_the_contract_has_a_requirement_of_its_level() -> None:
    named = {one.arguments["operation"]: one.level for one in requirements() if one.check == "operation"}
    assert named == {one.id: one.level for one in operations().values()}


def test_every_section_is_in_a_contract() -> None:
    for one in requirements():
        name = one.section.partition("#")[0].split("/")[0]
        assert name == "specs" or name in resources.names(), one.id


def test_every_exclusion_has_a_reason_and_names_what_exists() -> None:
    assert all(len(one["reason"]) > 40 for one in exclusions())
    assert {one["operation"] for one in exclusions()} - {"*"} <= set(operations())
    assert set(excluded_operations()) <= set(operations())
    assert all(excluded_operations().values())


def test_requirements_can_stand_in_a_report() -> None:
    results = [
        {
            "requirement_id": one.id,
            "sentence": one.sentence,
            "strength": one.strength,
            "section": one.section,
            "outcome": "passed",
            "cases": 1,
        }
        for one in requirements()
    ]
    broken = judge.violations_at("conformance-report/v1/schema.json#/properties/results", results)
    assert broken == []
