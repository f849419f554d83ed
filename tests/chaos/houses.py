"""The houses that a campaign may have: which processes, on which database, and what may happen to them."""

import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throwaway_postgres import private_server

from .databases import Database, PostgresDatabase, SqliteFile
from .fleet import Resident
from .schedule import FaultKind

TTL = 2.0
TOKEN = "chaos-operator-token"
TOKENS = {"UA_OPS_TOKEN": TOKEN, "UA_INTERNAL_API_TOKEN": "chaos-worker-token"}
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


FAULTS: Mapping[str, FaultKind] = {
    "kill": FaultKind(weight=4),
    "kill-guard": FaultKind(weight=2),
    "suspend": FaultKind(weight=3, lasts=(0.5, 2.0 * TTL)),
    "clock": FaultKind(weight=2),
    "lock": FaultKind(weight=1, lasts=(0.3, 1.5 * TTL)),
}


@contextlib.contextmanager
def sqlite_house(folder: Path) -> Iterator[House]:
    """The owner of an SQLite file with one lane of its own, and workers that reach it over HTTP, two for one lane."""
    lanes = write_lanes(folder)
    owner = plane("owner", "dev", folder, lanes, {"UA_ENABLE_CHAOS_THREE": "1"})
    at_owner = ("--url", plane_url(owner))
    yield House(
        folder=folder,
        database=SqliteFile(folder / "owner" / "state.db"),
        residents=[
            owner,
            worker("worker-a", LANES[0], folder, lanes, at_owner),
            worker("worker-b", LANES[0], folder, lanes, at_owner),
            worker("worker-c", LANES[1], folder, lanes, at_owner),
        ],
        urls=[plane_url(owner)],
        lanes=LANES,
        token=TOKEN,
        faults=FAULTS,
    )


@contextlib.contextmanager
def postgres_house(folder: Path) -> Iterator[House]:
    """Two planes on one PostgreSQL, one with a lane of its own; workers over HTTP and on the database."""
    lanes = write_lanes(folder)
    with private_server(Path(tempfile.gettempdir()) / f"dragan-pg-chaos-{os.getpid()}") as server:
        database = {"UA_RUNTIME_DB_URL": server.url}
        first = plane("plane-a", "serve", folder, lanes, database)
        second = plane("plane-b", "dev", folder, lanes, {**database, "UA_ENABLE_CHAOS_THREE": "1"})
        yield House(
            folder=folder,
            database=PostgresDatabase(server),
            residents=[
                first,
                second,
                worker("worker-a", LANES[0], folder, lanes, ("--db", server.url)),
                worker("worker-b", LANES[0], folder, lanes, ("--url", plane_url(first))),
                worker("worker-c", LANES[1], folder, lanes, ("--url", plane_url(second))),
            ],
            urls=[plane_url(first), plane_url(second)],
            lanes=LANES,
            token=TOKEN,
            faults={**FAULTS, "restart": FaultKind(weight=1, lasts=(0.0, 1.0))},
        )


def write_lanes(folder: Path) -> Path:
    """The lanes file: a lane with one workspace and one slot, and two with a workspace a mission and four slots."""
    common: dict[str, Any] = {
        "executor": {"type": "automation", "allow": [sys.executable], "cancel_grace_seconds": 0.2},
        "lease_ttl": TTL,
        "heartbeat_interval": TTL / 4,
        "cancel_deadline": 3.0,
        "recovery": {"policy": "retry", "max_attempts": 5, "backoff": 0.1},
    }
    wide = {"parallel_missions": 4, "workspace": {"scope": "mission"}}
    lanes = [
        {"vp_id": LANES[0], "flag": "CHAOS_ONE", **common},
        {"vp_id": LANES[1], "flag": "CHAOS_TWO", **common, **wide},
        {"vp_id": LANES[2], "flag": "CHAOS_THREE", **common, **wide},
    ]
    file = folder / "lanes.yaml"
    file.write_text(json.dumps({"lanes": lanes}, indent=2))
    return file


def plane(name: str, command: str, folder: Path, lanes: Path, environment: Mapping[str, str]) -> Resident:
    """A control plane, on a port that it keeps over its deaths."""
    port = str(free_port())
    return Resident(
        name=name,
        arguments=(command, "--port", port, "--data", str(folder / name), "--lanes", str(lanes), "--grace", "1"),
        is_plane=True,
        announces="ready at",
        environment={**TOKENS, "UA_INSTANCE_ID": name, **environment},
    )


def worker(name: str, lane: str, folder: Path, lanes: Path, link: Sequence[str]) -> Resident:
    """A worker for one lane. All keep the lanes' files in one place, as workers of one host do."""
    shared = str(folder / "workers")
    return Resident(
        name=name,
        arguments=("worker", "--lane", lane, *link, "--data", shared, "--lanes", str(lanes), "--grace", "1"),
        is_plane=False,
        announces="working for",
        environment={**TOKENS, "UA_ENABLE_CHAOS_ONE": "1", "UA_ENABLE_CHAOS_TWO": "1"},
    )


def plane_url(resident: Resident) -> str:
    """Where a plane answers."""
    port = resident.arguments[list(resident.arguments).index("--port") + 1]
    return f"http://127.0.0.1:{port}"


def free_port() -> int:
    """A port of this host that nobody listens on just now."""
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


HOUSES: Mapping[str, Callable[[Path], contextlib.AbstractContextManager[House]]] = {
    "postgresql": postgres_house,
    "sqlite": sqlite_house,
}
"""Every house by name."""
