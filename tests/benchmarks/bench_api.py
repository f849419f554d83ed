"""How many missions a second the API accepts, against a bare handler of the same framework that parses the same body.

Three processes: two servers of the same kind (Litestar on uvicorn, one worker, the settings of `dragan serve`) and this
one, which loads them in turn over kept-alive connections. The bare handler reads the body with `json.loads` and answers
a few bytes. The plane authenticates, reads strictly, judges the envelope, takes the transition, stores mission, event
and idempotency key in one durable commit and answers with the mission. Every request is a new mission.

Figures of one run on one machine are compared, never absolute ones: a disk whose fsync takes 4 ms is another machine.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

TARGET = 0.40  # of the bare handler's requests a second
CONNECTIONS = 64
ROUNDS = 3
SECONDS = 3.0
WARM_UP_SECONDS = 1.0
READY_SECONDS = 30.0
FSYNCS = 50
LANE = "vp.coder.primary"
TOKEN = "benchmark"  # of a server on loopback that lives for a minute
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
PATH = "/api/v1/missions"


def envelope(number: int) -> bytes:
    """A mission envelope of about 1.2 KB, new by its key."""
    document = {
        "vp_id": LANE,
        "mission_type": "automation",
        "objective": "Make the parser accept empty files, keep its public names, and add a test. " * 4,
        "constraints": {
            "allowed_tools": ["echo", "git", "pytest", "ruff", "python"],
            "forbidden_tools": ["curl", "docker"],
            "approval_required": ["git push"],
        },
        "budget": {"max_runtime_minutes": 30, "max_llm_calls": 100, "max_cost_usd": 5},
        "priority_class": "background",
        "success_criteria": [
            "The tests of the repository pass.",
            "The type checker is content.",
            "No public name is gone.",
            "The change is described in CHANGELOG.md.",
        ],
        "artifact_policy": {"required_outputs": ["diff.patch", "report.json"], "storage_scope": "factory"},
        "source_instance_id": "simone",
        "idempotency_key": f"bench-{os.getpid()}-{number}",
        "traffic": "synthetic",
        "extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": ["echo", "done"]}]}}],
    }
    return json.dumps(document).encode()


def main() -> int:
    """0 when the target is met, 1 when it is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", choices=["bare", "plane"], help=argparse.SUPPRESS)
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help="where the registry lies (default: a temporary folder)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of load, each time (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="(default: %(default)s)")
    chosen = parser.parse_args()
    if chosen.serve:
        with socket.socket(fileno=chosen.fd) as listener:
            asyncio.run(serve_bare(listener) if chosen.serve == "bare" else serve_plane(listener, chosen.data))
        return 0
    with ExitStack() as opened:
        data = chosen.data or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bench-api-")))
        before = fsync_probe(data)
        servers = {kind: opened.enter_context(Server(kind, data)) for kind in ("bare", "plane")}
        taken = asyncio.run(measure(servers, chosen.seconds, chosen.connections))
        return report(taken, (before, fsync_probe(data)), chosen.connections)


@dataclass(frozen=True)
class Load:
    """What one server did in one round."""

    requests: int
    seconds: float
    cpu_seconds: float
    """Of the server's process, all its threads."""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """For one request."""
        return self.cpu_seconds / self.requests * 1e6


async def measure(servers: "dict[str, Server]", seconds: float, connections: int) -> dict[str, list[Load]]:
    """Each server round by round: in turn, so that a slow moment meets both."""
    taken: dict[str, list[Load]] = {kind: [] for kind in servers}
    numbers = iter(range(10**9))
    for server in servers.values():
        await ready(server.port)
        await load(server, numbers, WARM_UP_SECONDS, connections)
    for _ in range(ROUNDS):
        for kind, server in servers.items():
            taken[kind].append(await load(server, numbers, seconds, connections))
    return taken


async def load(server: "Server", numbers: Iterator[int], seconds: float, connections: int) -> Load:
    """So many connections, each with one request under way at a time."""
    cpu, started = server.cpu_seconds(), time.perf_counter()
    callers = (caller(server.port, numbers, started + seconds) for _ in range(connections))
    requests = sum(await asyncio.gather(*callers))
    return Load(requests, time.perf_counter() - started, server.cpu_seconds() - cpu)


async def caller(port: int, numbers: Iterator[int], until: float) -> int:
    """One connection. Raises `RuntimeError` for an answer that accepts nothing: a refusal is no throughput."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    done = 0
    try:
        while time.perf_counter() < until:
            body = envelope(next(numbers))
            head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").lower()
            content = await reader.readexactly(int(answer.partition("content-length: ")[2].partition("\r\n")[0]))
            if not answer.startswith("http/1.1 201"):
                raise RuntimeError(f"the server refused: {answer.splitlines()[0]}: {content[:300]!r}")
            done += 1
    finally:
        writer.close()
    return done


async def ready(port: int) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


def report(taken: dict[str, list[Load]], probes: tuple[float, float], connections: int) -> int:
    """Print the table: medians of the rounds, and the ratio of rounds that stood side by side."""
    ratio = statistics.median(ours.rate / bare.rate for ours, bare in zip(taken["plane"], taken["bare"], strict=True))
    print(f"api: accepting missions ({len(envelope(0))} bytes, {connections} connections, {ROUNDS} rounds)")
    for kind, name in (("bare", "a bare handler, json.loads"), ("plane", "the plane, each mission durable")):
        rate = statistics.median(one.rate for one in taken[kind])
        cpu = statistics.median(one.cpu_microseconds for one in taken[kind])
        print(f"  {name:<36}{rate:>8.0f} requests/s {cpu:>8.0f} us of processor each")
    print(f"  {'one fsync of 4 KB, before and after':<36}{probes[0]:>8.2f} / {probes[1]:.2f} ms")
    print(f"  {'ratio':<36}{ratio:>8.2f} (at least {TARGET:.2f}: {'met' if ratio >= TARGET else 'MISSED'})")
    return 0 if ratio >= TARGET else 1


def fsync_probe(folder: Path) -> float:
    """The median time of one durable 4 KB write, in milliseconds."""
    path = folder / "fsync-probe"
    taken = []
    with path.open("wb") as file:
        for _ in range(FSYNCS):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return statistics.median(taken)


class Server:
    """One server in a process of its own, on a port of its own."""

    def __init__(self, kind: str, data: Path) -> None:
        self._kind = kind
        self._data = data

    def __enter__(self) -> "Server":
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1024)
            self.port: int = listener.getsockname()[1]
            command = [sys.executable, __file__, "--serve", self._kind, "--fd", str(listener.fileno())]
            ambient = {name: value for name, value in os.environ.items() if not name.startswith("UA_")}
            self._process = subprocess.Popen(
                [*command, "--data", str(self._data)], pass_fds=[listener.fileno()], env=ambient
            )
        return self

    def cpu_seconds(self) -> float:
        """What the process has used so far."""
        used = psutil.Process(self._process.pid).cpu_times()
        return used.user + used.system

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def serve_bare(listener: socket.socket) -> None:
    """The least that a handler can do with the body."""
    from litestar import Litestar, Request, post

    @post(PATH, status_code=201)
    async def accept(request: Request[Any, Any, Any]) -> dict[str, str]:
        document = json.loads(await request.body())
        return {"vp_id": document["vp_id"]}

    await serve(Litestar([accept], openapi_config=None, logging_config=None), listener)


async def serve_plane(listener: socket.socket, data: Path) -> None:
    """The API of a plane whose one lane nobody serves, so that nothing but accepting is measured."""
    from dragancorp.control_plane import ControlPlane
    from dragancorp.faces import asgi
    from dragancorp.tokens_file import TokenBook, operator_token

    lanes = [{"vp_id": LANE, "queue_limit": 1_000_000, "executor": {"type": "automation", "allow": ["echo"]}}]
    plane = await ControlPlane.open(f"sqlite:///{data / 'state.db'}", lanes=lanes, data=data, serve_lanes=False)
    try:
        await serve(asgi(plane, tokens=TokenBook([operator_token(TOKEN)])), listener)
    finally:
        await plane.close()


async def serve(application: Any, listener: socket.socket) -> None:
    """uvicorn as `dragan serve` runs it."""
    import uvicorn

    config = uvicorn.Config(
        application, log_config=None, access_log=False, server_header=False, lifespan="on", ws="none",
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
