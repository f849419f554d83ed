"""`decide` is a function: no clock, no chance, no memory; the same question has the same answer."""

import ast
import copy
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from dragancorp import lifecycle
from dragancorp.lifecycle import decide
from dragancorp_contracts.lifecycle import Actor, MissionTrigger, SessionTrigger

from . import test_mission_refusals, test_mission_rows, test_session_rows
from .lane_world import NOW, changed, command, facts, queued, running, session, session_command, session_facts

SOURCES = sorted(Path(lifecycle.__file__).parent.glob("*.py"))
IMPURE = {"time", "random", "secrets", "uuid", "os", "io", "pathlib", "socket", "threading", "asyncio", "logging"}
CLOCKS = {"now", "utcnow", "today", "monotonic", "perf_counter", "time_ns"}

QUESTIONS: list[tuple[Any, Any, Any]] = [
    *((step.start, step.command, step.known) for step in test_mission_rows.STEPS),
    *((no.start, command(no.does, no.actor, no.start, **no.says), no.known) for no in test_mission_refusals.REFUSALS),
    *((s.start, session_command(s.does, s.actor, **s.says), s.known) for s in test_session_rows.STEPS),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_core_imports_no_clock_no_chance_and_no_world(source: Path) -> None:
    tree = ast.parse(source.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not IMPURE & {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in IMPURE
            assert node.module != "dragancorp.clock"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in CLOCKS
        assert not isinstance(node, ast.Global | ast.Nonlocal)


def test_importing_the_core_loads_no_clock_database_or_server() -> None:
    probe = (
        "import sys, dragancorp.lifecycle\n"
        "print([m for m in ('dragancorp.clock', 'sqlalchemy', 'sqlmodel', 'litestar', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: f"{question[1].trigger}")
def test_the_same_question_has_the_same_answer_and_is_left_as_it_was(question: tuple[Any, Any, Any]) -> None:
    row, asked, known = question
    kept = copy.deepcopy((row, asked, known))
    first = decide(row, asked, known, NOW)
    assert (row, asked, known) == kept
    assert decide(*kept, NOW) == first
    assert decide(row, asked, known, NOW) == first


def test_what_is_asked_may_be_read_only() -> None:
    row = running(usage=MappingProxyType({"llm_calls": 3}))
    content = MappingProxyType({"usage": {"llm_calls": 4}, "summary": "half"})
    change = changed(row, command(MissionTrigger.REPORT, Actor.LANE, row, content=content), facts())
    assert change.row.usage == {"llm_calls": 4}


def test_a_mission_is_not_asked_what_a_session_is() -> None:
    with pytest.raises(TypeError, match="one machine"):
        decide(queued(), session_command(SessionTrigger.RENEW, Actor.LANE), facts(), NOW)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="one machine"):
        decide(session(), command(MissionTrigger.CLAIM, Actor.LANE, queued()), session_facts(), NOW)  # type: ignore[call-overload]
