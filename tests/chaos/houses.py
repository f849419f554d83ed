"""The houses that a campaign may have: which processes, on which database, and what may happen to them."""

import contextlib
import json
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from .databases import Database, SqliteFile
from .fleet import Resident
from .schedule import FaultKind

TTL = 2.0
TOKEN = "chaos-operator-token"
LANES = ("vp.chaos.one", "vp.chaos.two", "vp.chaos.three")


@dataclass(frozen=True, kw_only=True)
class House:
    """Everything a campaign needs to know of its house."""

    folder: Path
    database: Database
    residents: Sequence[Resident]
    urls: Sequence[str]
    lanes: Sequence[str]
    token: str
    faults: Mapping[str, FaultKind]


@contextlib.contextmanager
def sqlite_alone(folder: Path) -> Iterator[House]:
    """One process that is everything: the owner of an SQLite file, with its lanes."""
    lanes = write_lanes(folder)
    plane = plane_resident("plane", folder, lanes, {})
    yield House(
        folder=folder,
        database=SqliteFile(folder / "plane" / "state.db"),
        residents=[plane],
        urls=[plane_url(plane)],
        lanes=LANES,
        token=TOKEN,
        faults={
            "kill": FaultKind(weight=3),
            "kill-guard": FaultKind(weight=2),
            "suspend": FaultKind(weight=2, lasts=(0.5, 2.0 * TTL)),
            "clock": FaultKind(weight=2),
            "lock": FaultKind(weight=1, lasts=(0.3, 1.5 * TTL)),
        },
    )


def write_lanes(folder: Path) -> Path:
    """The lanes file: two lanes with a workspace each, one with a workspace a mission and two slots."""
    common: dict[str, Any] = {
        "executor": {"type": "automation", "allow": [sys.executable], "cancel_grace_seconds": 0.2},
        "lease_ttl": TTL,
        "heartbeat_interval": TTL / 4,
        "cancel_deadline": 3.0,
        "recovery": {"policy": "retry", "max_attempts": 5, "backoff": 0.1},
    }
    lanes = [
        {"vp_id": LANES[0], **common},
        {"vp_id": LANES[1], **common},
        {"vp_id": LANES[2], **common, "parallel_missions": 2, "workspace": {"scope": "mission"}},
    ]
    file = folder / "lanes.yaml"
    file.write_text(json.dumps({"lanes": lanes}, indent=2))
    return file


def plane_resident(name: str, folder: Path, lanes: Path, environment: Mapping[str, str]) -> Resident:
    """A control plane with lanes of its own, on a port that it keeps over its deaths."""
    port = free_port()
    return Resident(
        name=name,
        arguments=("dev", "--port", str(port), "--data", str(folder / name), "--lanes", str(lanes), "--grace", "1"),
        is_plane=True,
        ready=answers(f"http://127.0.0.1:{port}/readyz"),
        environment={"UA_OPS_TOKEN": TOKEN, "UA_INSTANCE_ID": name, **environment},
    )


def plane_url(plane: Resident) -> str:
    """Where a plane answers."""
    port = plane.arguments[list(plane.arguments).index("--port") + 1]
    return f"http://127.0.0.1:{port}"


def free_port() -> int:
    """A port of this host that nobody listens on just now."""
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answers(url: str) -> Callable[[], Awaitable[bool]]:
    """Whether a server says yes there."""

    async def ready() -> bool:
        async with httpx.AsyncClient(timeout=2.0) as http:
            with contextlib.suppress(httpx.TransportError):
                return (await http.get(url)).is_success
        return False

    return ready


HOUSES: Mapping[str, Callable[[Path], contextlib.AbstractContextManager[House]]] = {"sqlite-alone": sqlite_alone}
"""Every house by name."""
