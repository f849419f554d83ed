"""What a child mission may ask for, given what its parent has."""

from typing import Any

import pytest

from dragancorp.missions.children import MAX_DEPTH, excess_over_parent

Envelope = dict[str, Any]


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ({}, {}),
        ({"budget": {"max_llm_calls": 5}}, {}),
        ({"budget": {"max_llm_calls": 5}}, {"budget": {"max_llm_calls": 5}}),
        ({"budget": {"max_cost_usd": 0}}, {"budget": {"max_cost_usd": 0}}),
        ({"constraints": {"allowed_tools": []}}, {"constraints": {"allowed_tools": ["git"]}}),
        ({"constraints": {"allowed_tools": ["git"]}}, {"constraints": {"allowed_tools": ["git", "make"]}}),
        ({"constraints": {"forbidden_tools": ["rm", "dd"]}}, {"constraints": {"forbidden_tools": ["rm"]}}),
        ({"deadline_at": "2026-01-01T11:00:00+02:00"}, {"deadline_at": "2026-01-01T09:00:00Z"}),
    ],
)
def test_a_child_that_asks_for_no_more_is_welcome(child: Envelope, parent: Envelope) -> None:
    assert excess_over_parent(child, parent, 1) == ()


@pytest.mark.parametrize(
    ("child", "parent", "about"),
    [
        ({}, {"budget": {"max_llm_calls": 5}}, "budget.max_llm_calls"),
        ({"budget": {"max_llm_calls": 6}}, {"budget": {"max_llm_calls": 5}}, "budget.max_llm_calls"),
        ({"budget": {"max_cost_usd": 0.01}}, {"budget": {"max_cost_usd": 0}}, "budget.max_cost_usd"),
        ({}, {"constraints": {"allowed_tools": []}}, "allowed_tools"),
        ({}, {"constraints": {"allowed_tools": ["git"]}}, "allowed_tools"),
        ({"constraints": {"allowed_tools": ["rm"]}}, {"constraints": {"allowed_tools": ["git"]}}, "allowed_tools"),
        ({}, {"constraints": {"forbidden_tools": ["rm"]}}, "forbidden_tools"),
        ({}, {"constraints": {"approval_required": ["*"]}}, "approval_required"),
        ({}, {"deadline_at": "2026-01-01T09:00:00Z"}, "deadline_at"),
        ({"deadline_at": "2026-01-01T09:00:01Z"}, {"deadline_at": "2026-01-01T09:00:00Z"}, "deadline_at"),
    ],
)
def test_a_child_that_asks_for_more_is_told_where(child: Envelope, parent: Envelope, about: str) -> None:
    (sentence,) = excess_over_parent(child, parent, 1)
    assert about in sentence


def test_every_excess_is_named() -> None:
    parent = {"budget": {"max_llm_calls": 1, "max_cost_usd": 1}, "deadline_at": "2026-01-01T09:00:00Z"}
    assert len(excess_over_parent({}, parent, MAX_DEPTH)) == 4


def test_missions_nest_only_so_deep() -> None:
    assert excess_over_parent({}, {}, MAX_DEPTH - 1) == ()
    assert len(excess_over_parent({}, {}, MAX_DEPTH)) == 1
