"""Asking a server in the suite's name."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dragancorp_conformance.command import Asked, perform
from dragancorp_conformance.requirements import requirements
from dragancorp_conformance.target import Pace

from .minimal_server.server import FULL_LANE, FULL_TOKEN, LANE, LIMITED_TOKEN, Minimal
from .serving import served

# Little patience and little weight: what holds at this pace holds at the suite's own, only sooner.
QUICK = Pace(
    answer_seconds=4.0,
    slow_seconds=0.4,
    wait_seconds=0.5,
    end_seconds=4.0,
    big_bytes=12 * 1024 * 1024,
    crowd=8,
    examples=20,
)
PATIENT = replace(QUICK, answer_seconds=30.0, end_seconds=30.0)
"""For a server that is to pass: a busy machine is no defect."""
DRAWN = ("GEN-1", "GEN-2", "GEN-3")
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def asked() -> Callable[..., tuple[int, dict[str, Any]]]:
    """A function (url, requirement ids) that runs the suite on a minimal server: exit code and report."""

    def ask(url: str, *only: str, **options: Any) -> tuple[int, dict[str, Any]]:
        given = {
            "token": FULL_TOKEN,
            "limited_token": LIMITED_TOKEN,
            "full_lane": FULL_LANE,
            "lane": LANE,
            "level": "core",
            "seed": 1,
            "quiet": True,
            "pace": QUICK,
            **options,
        }
        return perform(Asked(url=url, only=only, **given))

    return ask


@pytest.fixture(scope="session")
def core_ids() -> tuple[str, ...]:
    """The requirements of level core for which nothing is drawn by chance."""
    return tuple(one.id for one in requirements() if one.level == "core" and one.id not in DRAWN)


@pytest.fixture(scope="module")
def minimal() -> Iterator[str]:
    """The URL of a sound minimal server."""
    with served(Minimal()) as url:
        yield url


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Where the three reports go."""
    return {name: tmp_path / f"report.{name}" for name in ("json", "junit", "html")}
