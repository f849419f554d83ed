"""Working for one lane until a signal: the link to the registry, the worker above it, and their end in order."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from dragancorp.cli import output, stopping
from dragancorp.cli.connection import Server, worker_client
from dragancorp.clock import SystemClock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lanes.configuration import ConfiguredLane, configure_lanes
from dragancorp.lanes.http_link import HttpLink
from dragancorp.lanes.lane_runtime import LaneRuntime
from dragancorp.lanes.link import LaneLink
from dragancorp.lanes_file import read_lanes
from dragancorp.registry.identifiers import new_id

# On top of what stopping a mission may take: for the last reports, when the plane is not there to hear them. What is
# not said then is found by the next worker: receipts keep finished work from being run again.
LAST_REPORTS_SECONDS = 10.0

log = structlog.get_logger("dragancorp.cli")


@dataclass(frozen=True, kw_only=True)
class Working:
    """What `dragan worker` was asked for."""

    vp_id: str
    server: Server
    db: str | None
    lanes: Path
    data: Path
    grace_seconds: float
    as_json: bool


async def work(asked: Working) -> None:
    """Work until SIGTERM or SIGINT; a second one ends the process at once.

    Errors: `lanes_file_invalid`, `settings_invalid` for a lane that is off, `lane_unknown`, `lane_retired`, those of
    opening the registry, and `server_unreachable`, `unauthenticated`, `scope_missing` of a plane at the start.
    """
    lane = _lane(asked)
    stop = stopping.heeded(
        lambda: output.note("stopped at once; what was running is taken up again by the next worker")
    )
    async with _link(asked) as (link, where):
        runtime = LaneRuntime(lane.setup(), link, SystemClock(), vp_runtime_id=new_id("r"))
        serving = asyncio.create_task(runtime.run(), name=f"lane {lane.vp_id}")
        told = asyncio.create_task(stop.wait(), name="stop")
        output.note(f"working for {lane.vp_id} through {where}; files in {lane.root}")
        if asked.as_json:
            output.document({"vp_id": lane.vp_id, "pid": os.getpid(), "registry": where}, one_line=True)
        try:
            await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                await _drain(runtime, serving, asked.grace_seconds, lane.policy.cancel_deadline)
            await serving  # what it raised is said
        finally:
            told.cancel()
            serving.cancel()
            await asyncio.gather(told, serving, return_exceptions=True)
    if not stop.is_set():
        raise DraganError(ErrorCode.LANE_RETIRED, f"the lane {lane.vp_id!r} is retired")
    log.info("stopped", action="worker.stopped", vp_id=lane.vp_id)


async def _drain(
    runtime: LaneRuntime, serving: "asyncio.Task[None]", grace_seconds: float, cancel_deadline: float
) -> None:
    """No new claims; after the grace, what still runs is handed back. Ends by itself, if need be by giving up."""
    log.info("draining", action="worker.draining", grace_seconds=grace_seconds)
    runtime.stop_claims()
    if grace_seconds > 0:
        await asyncio.wait({serving}, timeout=grace_seconds)
    runtime.hand_back()
    _, unfinished = await asyncio.wait({serving}, timeout=cancel_deadline + LAST_REPORTS_SECONDS)
    if unfinished:
        raise DraganError(ErrorCode.SERVER_UNREACHABLE, "the last reports reached nobody; the lease runs out by itself")


@contextlib.asynccontextmanager
async def _link(asked: Working) -> AsyncIterator[tuple[LaneLink, str]]:
    """The way to the registry, and its name for people."""
    if asked.db is not None:
        # A worker over HTTP needs none of it, and starts much sooner without.
        from dragancorp.control_plane import open_store
        from dragancorp.lanes.store_link import StoreLink

        store = await open_store(asked.db, SystemClock())
        try:
            # Whoever opens an SQLite file owns it, and its lease ends with this process.
            yield StoreLink(store, embedded=store.sole_owner), "the database"
        finally:
            await store.close()
        return
    url, _ = asked.server.found_by_worker()  # nothing that names a plane is wrong usage, not an absent plane
    link = HttpLink(asked.server.found_by_worker, worker_client)
    try:
        yield link, url
    finally:
        await link.aclose()


def _lane(asked: Working) -> ConfiguredLane:
    if not asked.lanes.is_file():
        raise DraganError(
            ErrorCode.LANES_FILE_INVALID, f"there is no lanes file {asked.lanes}; write one, or name it with --lanes"
        )
    known = read_lanes(asked.lanes)
    chosen = [lane for lane in known if lane["vp_id"] == asked.vp_id]
    if not chosen:
        names = ", ".join(lane["vp_id"] for lane in known)
        raise DraganError(ErrorCode.LANE_UNKNOWN, f"{asked.lanes} has no lane {asked.vp_id!r}; it has {names}")
    [lane] = configure_lanes(chosen, asked.data / "lanes")
    if not lane.flags.on:
        flag = f"UA_ENABLE_{lane.lane.get('flag')}"
        raise DraganError(ErrorCode.SETTINGS_INVALID, f"the lane {asked.vp_id!r} is off; set {flag}=1 to work for it")
    return lane
