"""What a process that is killed leaves: nothing that runs, and every mission with one end."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import psutil

# Starts a child and a grandchild in sessions of their own, marks that it was here, and stays; later attempts just end.
FAMILY = """
import os, pathlib, subprocess, sys, time
tag, mark = sys.argv[1], pathlib.Path(sys.argv[2])
runs = mark.read_text() if mark.exists() else ""
mark.write_text(runs + "x")
if not runs:
    sleeper = [sys.executable, "-S", "-c", "import time; time.sleep(300)", tag]
    subprocess.Popen(sleeper)
    subprocess.Popen(["sh", "-c", f"{sys.executable} -S -c 'import time; time.sleep(300)' {tag} & wait"],
                     start_new_session=True)
    mark.with_suffix(".up").touch()
    time.sleep(300)
"""


def alive(tag: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if tag in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def test_kill_9_in_the_middle_of_a_mission_leaves_no_process_and_one_end(
    start_plane: Any, alone: Any, wait_until: Any, folder: Path
) -> None:
    tag, mark, program = f"family-{folder.name}", folder / "mark", folder / "family.py"
    program.write_text(FAMILY)
    (folder / "lanes.yaml").write_text(
        (folder / "lanes.yaml").read_text().replace("python3]", f"python3, '{sys.executable}']")
    )
    plane = start_plane()
    first = alone.dispatch(f"{sys.executable} {program} {tag} {mark}")
    second = alone.dispatch("echo next")
    wait_until(mark.with_suffix(".up").exists)
    wait_until(lambda: len(alive(tag)) >= 3)

    plane.kill()

    wait_until(lambda: not alive(tag), seconds=10)
    assert plane.file.exists()  # nobody was left to remove it; the next start writes its own
    start_plane()
    assert alone("mission", "watch", first).exit_code == 0
    assert alone("mission", "watch", second).exit_code == 0
    assert mark.read_text() == "xx"
    for mission_id in (first, second):
        events = alone.ask("mission", "show", mission_id)["events"]
        kinds = [event["type"] for event in events]
        assert kinds.count("vp.mission.completed") == 1
        assert kinds[-1] == "vp.mission.completed"
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert alive(tag) == []


def test_a_watch_survives_a_restart_on_another_port_with_another_token(
    start_plane: Any, alone: Any, wait_until: Any, folder: Path
) -> None:
    plane = start_plane()
    mission_id = alone.dispatch(f"sh -c 'test -e {folder}/mark || {{ touch {folder}/mark; sleep 60; }}'")
    watching = alone.start("mission", "watch", mission_id, "--json")
    wait_until((folder / "mark").exists)
    first = watching.stdout.readline()
    plane.kill()

    again = start_plane()

    events = [json.loads(line) for line in (first, *watching.stdout)]
    err = watching.stderr.read()
    watching.wait(timeout=20)
    assert again.url != plane.url
    assert watching.returncode == 0, err
    assert "the control plane is away" in err
    assert "the control plane is back" in err
    assert events[-1]["type"] == "vp.mission.completed"
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))


def test_a_watch_survives_a_stop_by_the_rules_too(start_plane: Any, alone: Any, wait_until: Any, folder: Path) -> None:
    plane = start_plane("--grace", "0.2")
    mission_id = alone.dispatch(f"sh -c 'test -e {folder}/mark || {{ touch {folder}/mark; sleep 60; }}'")
    watching = alone.start("mission", "watch", mission_id)
    wait_until((folder / "mark").exists)
    first = watching.stdout.readline()

    assert plane.stop() == 0
    stopped = plane.err
    start_plane()

    lines = [first, *watching.stdout]
    assert watching.wait(timeout=20) == 0
    assert any("requeued (drained)" in line for line in lines)
    assert "completed" in lines[-1]
    assert "uvicorn.error" not in stopped


def test_leaving_a_watch_does_nothing_to_the_mission(
    start_plane: Any, alone: Any, wait_until: Any, folder: Path
) -> None:
    start_plane()
    mission_id = alone.dispatch(f"sh -c 'until test -e {folder}/go; do sleep 0.1; done'")
    watching = alone.start("mission", "watch", mission_id)
    watching.stdout.readline()

    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=20)
    (folder / "go").touch()

    assert watching.returncode == 130
    assert "Traceback" not in err
    assert alone("mission", "watch", mission_id).exit_code == 0
