"""What a program run through the guard sees, and what its runner hears of it."""

import ast
import asyncio
import hashlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

import dragancorp
from dragancorp.executors.protocol import ProcessEvent, ProcessExited, ProcessOutput, ProcessStarted
from dragancorp.lanes.guarded import Guard

pytestmark = pytest.mark.anyio


async def run_python(guard: Guard, code: str, environment: Mapping[str, str], **options: object) -> list[ProcessEvent]:
    command = [sys.executable, "-S", "-c", code]
    return [event async for event in guard.run(command, cwd=Path("/"), env=environment, **options)]


def texts(events: list[ProcessEvent], stream: str = "stdout") -> list[str]:
    return [event.text for event in events if isinstance(event, ProcessOutput) and event.stream == stream]


async def test_a_program_starts_speaks_and_exits(guard: Guard, environment: Mapping[str, str]) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    events = await run_python(guard, code, environment)
    assert isinstance(events[0], ProcessStarted)
    assert texts(events) == ["out"]
    assert texts(events, "stderr") == ["err"]
    last = events[-1]
    assert isinstance(last, ProcessExited)
    assert (last.exit_code, last.timed_out) == (3, False)


async def test_a_program_killed_by_a_signal_says_which(guard: Guard, environment: Mapping[str, str]) -> None:
    events = await run_python(guard, "import os; os.kill(os.getpid(), 11)", environment)
    assert isinstance(events[-1], ProcessExited)
    assert events[-1].exit_code == -11


async def test_a_program_sees_the_given_environment_folder_and_session_of_its_own(guard: Guard, tmp_path: Path) -> None:
    code = "import os; print(sorted(os.environ)); print(os.getcwd()); print(os.getsid(0) == os.getpid())"
    command = [sys.executable, "-S", "-c", code]
    events = [event async for event in guard.run(command, cwd=tmp_path, env={"PATH": "/bin", "ONE": "1"})]
    names, folder, leads = texts(events)
    assert set(ast.literal_eval(names)) - {"LC_CTYPE"} == {"DRAGAN_WORKSPACE_LOCK", "ONE", "PATH"}
    assert folder == str(tmp_path)
    assert leads == "True"


async def test_a_program_inherits_no_descriptor_and_no_ignored_signal_of_the_guard(
    guard: Guard, environment: Mapping[str, str]
) -> None:
    code = """
import os, signal
print([fd for fd in range(3, 256) if os.path.exists(f"/dev/fd/{fd}")])
numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
print([signal.getsignal(number) is signal.SIG_IGN for number in numbers], signal.pthread_sigmask(0, []))
"""
    assert texts(await run_python(guard, code, environment)) == ["[]", "[False, False, False, False] set()"]


async def test_text_on_standard_input_arrives_whole(guard: Guard, environment: Mapping[str, str]) -> None:
    code = "import sys, hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
    data = b"line \xff\n" * 300_000
    assert texts(await run_python(guard, code, environment, stdin=data)) == [hashlib.sha256(data).hexdigest()]


async def test_a_program_that_does_not_read_its_input_ends_all_the_same(
    guard: Guard, environment: Mapping[str, str]
) -> None:
    events = await run_python(guard, "print('done')", environment, stdin=b"x" * 5_000_000)
    assert texts(events) == ["done"]


async def test_a_200_kb_line_does_not_kill_the_reader(guard: Guard, environment: Mapping[str, str]) -> None:
    events = await run_python(guard, "print('x' * 200_000); print('after')", environment)
    pieces = [event for event in events if isinstance(event, ProcessOutput)]
    assert "".join(piece.text for piece in pieces[:-1]) == "x" * 200_000
    assert [piece.partial for piece in pieces[:-2]] == [True] * (len(pieces) - 2)
    assert not pieces[-2].partial
    assert pieces[-1].text == "after"


async def test_a_line_of_5_mb_comes_in_pieces(guard: Guard, environment: Mapping[str, str]) -> None:
    events = await run_python(guard, "print('é' * 2_500_000)", environment)
    pieces = [event for event in events if isinstance(event, ProcessOutput)]
    assert "".join(piece.text for piece in pieces) == "é" * 2_500_000
    assert max(len(piece.text) for piece in pieces) <= 32 * 1024


async def test_what_is_not_utf_8_is_replaced_and_an_open_last_line_is_kept(
    guard: Guard, environment: Mapping[str, str]
) -> None:
    code = r"import sys; sys.stdout.buffer.write(b'a\xffb\r\n\x00end')"
    assert texts(await run_python(guard, code, environment)) == ["a�b", "\x00end"]


async def test_a_slow_reader_slows_the_program_down_and_loses_nothing(
    guard: Guard, environment: Mapping[str, str]
) -> None:
    code = "for n in range(400_000): print(n, 'x' * 20)"
    events = guard.run([sys.executable, "-S", "-c", code], cwd=Path("/"), env=environment)
    count = 0
    async for event in events:
        if isinstance(event, ProcessOutput):
            if count == 100:
                await asyncio.sleep(1)
            assert event.text.startswith(f"{count} ")
            count += 1
    assert count == 400_000


@pytest.mark.parametrize(
    ("program", "error"), [("no-such-program", FileNotFoundError), ("/etc/passwd", PermissionError)]
)
async def test_a_program_that_cannot_start_is_a_clear_error_and_the_next_one_runs(
    guard: Guard, environment: Mapping[str, str], program: str, error: type[OSError]
) -> None:
    with pytest.raises(error, match=program):
        _ = [event async for event in guard.run([program], cwd=Path("/"), env=environment)]
    assert texts(await run_python(guard, "print('well')", environment)) == ["well"]


async def test_a_bad_folder_is_a_clear_error(guard: Guard, environment: Mapping[str, str], tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere"):
        _ = [event async for event in guard.run(["true"], cwd=tmp_path / "nowhere", env=environment)]


async def test_a_nul_byte_in_a_word_is_a_clear_error(guard: Guard, environment: Mapping[str, str]) -> None:
    with pytest.raises(OSError, match="null byte"):
        _ = [event async for event in guard.run(["echo", "a\0b"], cwd=Path("/"), env=environment)]


async def test_the_time_limit_ends_a_program_and_says_so(guard: Guard, environment: Mapping[str, str]) -> None:
    start = time.monotonic()
    events = await run_python(guard, "import time; time.sleep(60)", environment, timeout_seconds=0.3)
    assert time.monotonic() - start < 2
    assert isinstance(events[-1], ProcessExited)
    assert events[-1].timed_out
    assert events[-1].exit_code == -15


async def test_two_runs_at_once_go_one_after_the_other(guard: Guard, environment: Mapping[str, str]) -> None:
    code = "import time; print(time.time()); time.sleep(0.3); print(time.time())"
    first, second = await asyncio.gather(run_python(guard, code, environment), run_python(guard, code, environment))
    assert max(map(float, texts(first))) < min(map(float, texts(second)))


async def test_the_guard_imports_nothing_but_the_standard_library(guard: Guard) -> None:
    code = "import sys, dragancorp.lanes.guard; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    root = str(Path(str(dragancorp.__file__)).parent.parent)
    command = [sys.executable, "-S", "-c", code]
    events = [event async for event in guard.run(command, cwd=Path("/"), env={"PYTHONPATH": root})]
    imported = set(ast.literal_eval(texts(events)[0]))
    assert imported - sys.stdlib_module_names - {"__main__"} == {"dragancorp"}
