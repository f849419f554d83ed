"""Accident: a grandchild process that outlived its mission. Whatever ends an execution, nothing of it is left."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.protocol import ProcessEvent, ProcessExited, ProcessOutput, ProcessStarted
from dragancorp.lanes.guarded import Guard

pytestmark = pytest.mark.anyio


async def run(guard: Guard, command: list[str], environment: Mapping[str, str]) -> list[ProcessEvent]:
    return [event async for event in guard.run(command, cwd=Path("/"), env=environment)]


@pytest.mark.parametrize("hearing", ["hearing", "deaf"])
async def test_what_a_program_leaves_running_is_gone_when_its_run_is_over(
    guard: Guard, environment: Mapping[str, str], family: Any, hearing: str
) -> None:
    start = time.monotonic()
    events = await run(guard, family.command(hearing, "leave"), environment)
    assert isinstance(events[-1], ProcessExited)
    assert events[-1].exit_code == 0
    assert family.alive() == []
    assert time.monotonic() - start < 3


async def test_nohup_and_setsid_in_a_shell_do_not_help(
    guard: Guard, environment: Mapping[str, str], family: Any
) -> None:
    sleeper = f"{sys.executable} -S -c 'import time; time.sleep(300)' {family.tag}"
    events = await run(guard, ["sh", "-c", f"nohup {sleeper} & setsid {sleeper} & echo done"], environment)
    assert any(isinstance(event, ProcessOutput) and event.text == "done" for event in events)
    assert family.alive() == []


async def test_leaving_the_iteration_ends_the_family(guard: Guard, environment: Mapping[str, str], family: Any) -> None:
    async with contextlib.aclosing(guard.run(family.command(), cwd=Path("/"), env=environment)) as events:
        async for event in events:
            if isinstance(event, ProcessOutput):
                assert len(family.alive()) == family.size
                break
    assert family.alive() == []
    assert isinstance((await run(guard, ["true"], environment))[-1], ProcessExited)


async def test_a_program_deaf_to_sigterm_is_killed_after_the_grace(
    guard: Guard, environment: Mapping[str, str], family: Any
) -> None:
    running = guard.run(family.command("deaf"), cwd=Path("/"), env=environment, grace_seconds=0.5)
    async with contextlib.aclosing(running) as events:
        async for event in events:
            if isinstance(event, ProcessOutput):
                break
        start = time.monotonic()
    assert 0.4 < time.monotonic() - start < 2
    assert family.alive() == []


async def test_cancelling_the_task_ends_the_family(guard: Guard, environment: Mapping[str, str], family: Any) -> None:
    up = asyncio.Event()

    async def work() -> None:
        async for event in guard.run(family.command(), cwd=Path("/"), env=environment):
            if isinstance(event, ProcessOutput):
                up.set()

    task = asyncio.create_task(work())
    await up.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert family.alive() == []


async def test_a_kill_asked_for_from_beside_ends_the_run_in_order(
    guard: Guard, environment: Mapping[str, str], family: Any
) -> None:
    last: ProcessEvent | None = None
    async for event in guard.run(family.command(), cwd=Path("/"), env=environment):
        if isinstance(event, ProcessOutput):
            killing = asyncio.create_task(guard.kill(grace_seconds=1))
        last = event
    await killing
    assert isinstance(last, ProcessExited)
    assert last.exit_code == -15
    assert not last.timed_out
    assert family.alive() == []


async def test_a_kill_is_not_held_up_by_a_flood_that_nobody_reads(
    guard: Guard, environment: Mapping[str, str], family: Any
) -> None:
    flood = [sys.executable, "-S", "-c", "while True: print('x' * 1000)", family.tag]
    async with contextlib.aclosing(guard.run(flood, cwd=Path("/"), env=environment)) as events:
        async for event in events:
            if isinstance(event, ProcessOutput):
                break
        await asyncio.sleep(0.5)
        start = time.monotonic()
        await guard.kill(grace_seconds=0)
        assert time.monotonic() - start < 1
    assert family.alive() == []


@pytest.mark.parametrize("hearing", ["hearing", "deaf"])
async def test_a_worker_killed_with_9_takes_its_family_along_within_two_seconds(
    start_worker: Callable[..., Any], family: Any, lock_path: Path, environment: Mapping[str, str], hearing: str
) -> None:
    worker = start_worker(hearing=hearing)
    worker.process.kill()
    assert family.wait_until_gone(2) < 2
    worker.guard.wait(2)
    async with Guard(lock_path=lock_path, ttl_seconds=30) as successor:
        assert isinstance((await run(successor, ["true"], environment))[-1], ProcessExited)


def test_a_silent_worker_loses_its_family_and_is_told_when_it_comes_back(
    start_worker: Callable[..., Any], family: Any
) -> None:
    worker = start_worker(ttl_seconds=2)
    time.sleep(1.5)
    assert len(family.alive()) == family.size, "a worker that beats keeps its execution"
    worker.process.suspend()
    took = family.wait_until_gone(2)
    assert 0.4 < took < 2, "not before the limit of half the TTL, and before the TTL is over"
    assert worker.guard.is_running()
    worker.process.resume()
    assert worker.process.wait(10) == 1


async def test_a_changed_ttl_changes_the_limit_of_silence(
    guard: Guard, environment: Mapping[str, str], family: Any
) -> None:
    guard.change_ttl(1)

    async def work() -> None:
        async for event in guard.run(family.command(), cwd=Path("/"), env=environment):
            if isinstance(event, ProcessOutput):
                family.stick(1.5)  # the beat must stop with the event loop

    with pytest.raises(DraganError, match="silent") as caught:
        await work()
    assert caught.value.code is ErrorCode.INTERNAL_ERROR
    guard.change_ttl(30)
    assert isinstance((await run(guard, ["true"], environment))[-1], ProcessExited)


async def test_a_terminal_that_interrupts_or_hangs_up_does_not_end_the_guard(
    guard: Guard, environment: Mapping[str, str]
) -> None:
    assert guard.pid is not None
    assert os.getsid(guard.pid) != os.getsid(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(guard.pid, number)
    assert isinstance((await run(guard, ["true"], environment))[-1], ProcessExited)


async def test_a_guard_killed_with_9_is_an_error_then_replaced_and_its_strays_are_cleared(
    guard: Guard, environment: Mapping[str, str], family: Any
) -> None:
    first = guard.pid
    assert first is not None

    async def work() -> None:
        async for event in guard.run(family.command("deaf"), cwd=Path("/"), env=environment):
            if isinstance(event, ProcessOutput):
                os.kill(first, signal.SIGKILL)

    with pytest.raises(DraganError, match="guard process died") as caught:
        await work()
    assert caught.value.code is ErrorCode.INTERNAL_ERROR
    assert family.alive() == [], "no next guard may ever come to this workspace"
    assert guard.pid is None
    assert isinstance((await run(guard, ["true"], environment))[-1], ProcessExited)
    assert guard.pid != first
    assert family.alive() == []


def test_a_guard_killed_with_9_takes_the_child_along_by_itself(start_worker: Callable[..., Any], family: Any) -> None:
    worker = start_worker(hearing="deaf")
    child = worker.guard.children()[0]
    worker.process.suspend()  # it cannot help
    worker.guard.kill()
    child.wait(2)


async def test_worker_and_guard_killed_at_one_moment_leave_strays_only_until_the_next_guard(
    start_worker: Callable[..., Any], family: Any, lock_path: Path, environment: Mapping[str, str]
) -> None:
    worker = start_worker(hearing="deaf")
    worker.process.suspend()
    worker.guard.kill()
    worker.process.kill()
    async with Guard(lock_path=lock_path, ttl_seconds=30) as successor:
        await run(successor, ["true"], environment)
        assert family.alive() == []


async def test_closing_ends_the_guard_and_what_runs(
    environment: Mapping[str, str], family: Any, tmp_path: Path
) -> None:
    guard = Guard(lock_path=tmp_path / "lock", ttl_seconds=30)
    async with guard:
        process = psutil.Process(guard.pid)
        events = guard.run(family.command(), cwd=Path("/"), env=environment)
        assert isinstance(await anext(events), ProcessStarted)
    assert not process.is_running()
    assert family.alive() == []
    await events.aclose()
    await guard.close()
