"""No overlap in one workspace on one host."""

import asyncio
import contextlib
import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.protocol import ProcessEvent, ProcessExited, ProcessOutput
from dragancorp.lanes.guarded import Guard

pytestmark = pytest.mark.anyio


async def run(guard: Guard, command: list[str], environment: Mapping[str, str]) -> list[ProcessEvent]:
    return [event async for event in guard.run(command, cwd=Path("/"), env=environment)]


def is_free(lock_path: Path) -> bool:
    with lock_path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


async def test_a_second_guard_on_the_same_workspace_hears_that_it_is_busy(
    guard: Guard, environment: Mapping[str, str], family: Any, lock_path: Path
) -> None:
    async with Guard(lock_path=lock_path, ttl_seconds=30) as second:
        async with contextlib.aclosing(guard.run(family.command(), cwd=Path("/"), env=environment)) as events:
            async for event in events:
                if isinstance(event, ProcessOutput):
                    break
            with pytest.raises(DraganError, match=str(guard.pid)) as caught:
                await run(second, ["true"], environment)
            assert caught.value.code is ErrorCode.WORKSPACE_BUSY
            assert len(family.alive()) == family.size, "the second one looked for no strays"
        assert isinstance((await run(second, ["true"], environment))[-1], ProcessExited)


async def test_the_lock_is_held_while_something_runs_and_free_right_after_a_kill(
    guard: Guard, environment: Mapping[str, str], family: Any, lock_path: Path
) -> None:
    async for event in guard.run(family.command("deaf"), cwd=Path("/"), env=environment):
        if isinstance(event, ProcessOutput):
            assert not is_free(lock_path)
            killing = asyncio.create_task(guard.kill(grace_seconds=0))
    await killing
    assert is_free(lock_path)


async def test_the_lock_is_free_after_a_program_that_could_not_start(
    guard: Guard, environment: Mapping[str, str], lock_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        await run(guard, ["no-such-program"], environment)
    assert is_free(lock_path)


async def test_a_lock_that_is_a_symbolic_link_is_refused(environment: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    async with Guard(lock_path=tmp_path / "link", ttl_seconds=30) as guard:
        with pytest.raises(OSError, match="link"):
            await run(guard, ["true"], environment)


async def test_a_lock_file_deleted_in_between_is_made_again(
    guard: Guard, environment: Mapping[str, str], lock_path: Path
) -> None:
    await run(guard, ["true"], environment)
    await run(guard, ["rm", str(lock_path)], environment)
    assert (await run(guard, ["cat", str(lock_path)], environment))[1] == ProcessOutput(
        stream="stdout", text=str(guard.pid)
    )
