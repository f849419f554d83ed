"""Servers that are broken on purpose, each in one way, and the requirement that has to say so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..minimal_server.server import Minimal

Server = type[Minimal]
_Decorated = TypeVar("_Decorated", bound=Server)


@dataclass(frozen=True)
class Defect:
    """One broken server. `also` are requirements that break with it."""

    server: Server
    requirement: str
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.server.__name__


DEFECTS: list[Defect] = []


def breaks(requirement: str, *also: str) -> Callable[[_Decorated], _Decorated]:
    """Note the server as one that breaks this requirement."""

    def noted(server: _Decorated) -> _Decorated:
        DEFECTS.append(Defect(server, requirement, also))
        return server

    return noted


def defects() -> list[Defect]:
    """All of them."""
    from . import bodies, connections, ledgers, missions, refusals, strangers, streams  # noqa: F401 - importing notes them

    return DEFECTS
