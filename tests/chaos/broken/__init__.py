"""Runtimes that are broken on purpose, each in one way, and the invariant that has to say so.

A scenario is a short history in the cheapest house in which the defect shows; without the defect it breaks nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..evidence import Evidence

Scenario = Callable[[Path], Awaitable[Evidence]]
Install = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Defect:
    """One broken runtime. `also` are invariants that break with it."""

    install: Install
    invariant: str
    also: frozenset[str]
    scenario: Scenario

    @property
    def name(self) -> str:
        """What is broken."""
        return self.install.__name__


DEFECTS: list[Defect] = []


def breaks(invariant: str, *also: str, scenario: Scenario) -> Callable[[Install], Install]:
    """Note the runtime as one that breaks this invariant in this history."""

    def noted(install: Install) -> Install:
        DEFECTS.append(Defect(install, invariant, frozenset(also), scenario))
        return install

    return noted


def defects() -> list[Defect]:
    """All of them."""
    if not DEFECTS:
        from . import callers, leases, ledgers, workers  # noqa: F401 - importing notes them
    return DEFECTS
