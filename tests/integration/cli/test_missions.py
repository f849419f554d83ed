"""Missions by the command line, against one control plane."""

import contextlib
import json
import os
import pty
import time
from pathlib import Path
from typing import Any

import pytest


def test_a_mission_is_dispatched_watched_and_shown(dragan: Any, lane: str) -> None:
    done = dragan(
        "mission", "dispatch", "--lane", lane, "--objective", "greet", "--run", "echo 'hello there'", "--watch"
    )

    assert done.exit_code == 0, done.err
    mission_id, *events = done.out.splitlines()
    assert events[0].endswith("dispatched")
    assert "completed" in events[-1]
    assert "idempotency key: cli-" in done.err
    shown = dragan("mission", "show", mission_id)
    assert shown.exit_code == 0
    assert "objective  greet" in shown.out
    assert "logs/01-echo-1.log" in shown.out


def test_commands_are_split_as_a_shell_would_and_go_through_none(dragan: Any, lane: str) -> None:
    record = dragan.ask("mission", "dispatch", "--lane", lane, "--objective", "x", "--run", "echo 'a b' $HOME; | c")

    (extension,) = record["envelope"]["extensions"]
    assert extension["required"] is True
    assert extension["value"] == {"steps": [{"run": ["echo", "a b", "$HOME;", "|", "c"]}]}
    assert record["envelope"]["mission_type"] == "automation"


def test_json_of_a_watch_is_a_line_for_each_event_without_gaps(dragan: Any) -> None:
    mission_id = dragan.dispatch("echo one", "echo two")

    done = dragan("mission", "watch", mission_id, "--json")

    assert done.exit_code == 0
    assert [event["sequence"] for event in done.json_lines] == list(range(1, len(done.json_lines) + 1))
    assert done.json_lines[-1]["type"] == "vp.mission.completed"


def test_a_watched_mission_that_fails_ends_with_one(dragan: Any) -> None:
    done = dragan("mission", "watch", dragan.dispatch("sh -c 'exit 3'"))

    assert done.exit_code == 1
    assert "failed (executor_error)" in done.out
    assert "the mission ended as failed" in done.err


def test_a_waiting_mission_is_cancelled_at_once_and_again_with_the_same_answer(dragan: Any) -> None:
    running = dragan.dispatch("sleep 60")
    waiting = dragan.dispatch("echo never")

    first = dragan("mission", "cancel", waiting, "--reason", "not wanted")
    again = dragan("mission", "cancel", waiting)

    assert (first.exit_code, first.out) == (0, "cancelled\n")
    assert (again.exit_code, again.out) == (0, "cancelled\n")
    dragan("mission", "cancel", running)
    dragan("mission", "watch", running)


def test_a_running_mission_is_cancelled_with_the_reason_in_its_ledger(dragan: Any, wait_until: Any) -> None:
    mission_id = dragan.dispatch("sleep 60")
    wait_until(lambda: dragan.state(mission_id) == "running")

    asked = dragan("mission", "cancel", mission_id, "--reason", "changed my mind")
    watched = dragan("mission", "watch", mission_id)

    assert asked.exit_code == 0
    assert watched.exit_code == 1
    assert "changed my mind" in watched.out
    assert dragan.state(mission_id) == "cancelled"


def test_lists_are_filtered_and_paged(dragan: Any, lane: str) -> None:
    ids = [dragan.dispatch("echo x", objective=f"listed {number}") for number in range(3)]
    for mission_id in ids:
        assert dragan("mission", "watch", mission_id).exit_code == 0

    newest = dragan.ask("mission", "list", "--limit", "2", "--state", "completed", "--lane", lane, "--not-parked")
    everything = dragan.ask("mission", "list", "--limit", "2", "--all")
    none = dragan.ask("mission", "list", "--lane", "vp.nobody")

    assert [record["mission_id"] for record in newest["missions"]] == [ids[2], ids[1]]
    assert newest["next_cursor"] is not None
    assert set(ids) <= {record["mission_id"] for record in everything["missions"]}
    assert everything["next_cursor"] is None
    assert none["missions"] == []


def test_a_list_that_nobody_watches_is_tab_separated(dragan: Any) -> None:
    mission_id = dragan.dispatch("echo x", objective="two\nlines")

    header, first, *_ = dragan("mission", "list").out.splitlines()

    assert header.split("\t") == ["mission", "state", "created", "lane", "objective"]
    assert first.split("\t")[0] == mission_id
    assert first.split("\t")[-1] == r"two\nlines"


def test_the_same_key_and_request_is_the_same_mission(dragan: Any, lane: str) -> None:
    ask = ("mission", "dispatch", "--lane", lane, "--objective", "once", "--run", "echo once", "--key", "key-same")

    first, again = dragan(*ask), dragan(*ask)

    assert first.out == again.out
    assert "dispatched before" in again.err
    assert "dispatched before" not in first.err


def test_the_bytes_of_an_envelope_file_are_kept_as_they_are(dragan: Any, lane: str, tmp_path: Path) -> None:
    file = tmp_path / "envelope.json"
    file.write_text(
        f'{{"vp_id": "{lane}", "mission_type":"custom",  "idempotency_key": "key-bytes",\n'
        '"objective": "caf\\u00e9", "budget": {"max_cost_usd": 1.0}}'
    )

    refused = dragan("mission", "dispatch", str(file), "--json")
    assert refused.exit_code == 1  # an automation lane wants steps; what it says about it is the server's word
    envelope = json.loads(file.read_text())
    envelope["extensions"] = [
        {
            "uri": "https://dragancorp.dev/specs/automation-mission/v1/schema.json",
            "required": True,
            "value": {"steps": [{"run": ["echo", "café"]}]},
        }
    ]
    taken = dragan("mission", "dispatch", "-", "--json", stdin=json.dumps(envelope))

    assert taken.exit_code == 0, taken.err
    assert taken.json["envelope"]["objective"] == "café"


def test_callbacks_that_wait_for_delivery_are_shown(dragan: Any, lane: str) -> None:
    envelope = {
        "vp_id": lane,
        "mission_type": "automation",
        "objective": "report back",
        "idempotency_key": "key-callback",
        "callback": {"status_url": "https://factory.example/status", "auth_mode": "none"},
        "extensions": [
            {
                "uri": "https://dragancorp.dev/specs/automation-mission/v1/schema.json",
                "required": True,
                "value": {"steps": [{"run": ["echo", "x"]}]},
            }
        ],
    }
    mission_id = dragan("mission", "dispatch", "-", stdin=json.dumps(envelope)).out.strip()
    dragan("mission", "watch", mission_id)

    shown = dragan("mission", "show", mission_id)

    assert shown.exit_code == 0
    assert "callbacks undelivered" in shown.out


@pytest.mark.parametrize("way", ["show", "watch", "list"])
def test_text_of_a_lane_never_controls_the_terminal(dragan: Any, lane: str, way: str) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\u202e[bold red]x\r\x9b31m"
    mission_id = dragan.dispatch("""python3 -c "print('\\x1b[2Jcleared')" """, objective=hostile)
    dragan("mission", "watch", mission_id)

    arguments = ["mission", way] if way == "list" else ["mission", way, mission_id]
    for options in ([], ["--json"]):
        text = dragan(*arguments, *options).out
        assert not set(text) & set("\x1b\x07\x9b\r\u202e")
    if way != "watch":
        assert "[bold red]x" in dragan(*arguments).out


def test_progress_is_seen_before_the_mission_ends(dragan: Any) -> None:
    mission_id = dragan.dispatch("echo first", "sleep 60")
    watching = dragan.start("mission", "watch", mission_id)
    start = time.monotonic()

    for line in watching.stdout:
        if "sleep" in line:
            break

    assert time.monotonic() - start < 45
    dragan("mission", "cancel", mission_id)
    out, _ = watching.communicate(timeout=30)
    assert watching.returncode == 1
    assert "cancelled" in out


def test_a_person_sees_that_it_goes_on(dragan: Any) -> None:
    mission_id = dragan.dispatch("echo first", "sleep 2")
    master, slave = pty.openpty()
    watching = dragan.start("mission", "watch", mission_id, stdout=slave)
    os.close(slave)

    seen = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side of a terminal is gone
        while part := os.read(master, 4096):
            seen += part
    os.close(master)
    watching.communicate(timeout=20)

    assert watching.returncode == 0
    assert f"watching {mission_id}".encode() in seen
    assert seen.index(b"echo first") < seen.index(b"completed")


def test_what_a_mission_left_is_listed_and_fetched_and_overwrites_nothing(dragan: Any, tmp_path: Path) -> None:
    mission_id = dragan.dispatch("echo hello there")
    assert dragan("mission", "watch", mission_id).exit_code == 0
    listed = dragan.ask("mission", "artifacts", mission_id)["artifacts"]
    assert "logs/01-echo-1.log" in {one["name"] for one in listed}
    followed = dragan("mission", "watch", mission_id, "--log")
    assert (followed.exit_code, followed.out) == (0, "hello there\n")
    place = tmp_path / "log.txt"
    fetched = dragan("mission", "artifacts", mission_id, "--fetch", "logs/01-echo-1.log", "--out", str(place))
    assert fetched.exit_code == 0, fetched.err
    assert "hello there" in place.read_text()
    again = dragan("mission", "artifacts", mission_id, "--fetch", "logs/01-echo-1.log", "--out", str(place))
    assert again.exit_code == 3
    unknown = dragan("mission", "artifacts", mission_id, "--fetch", "nothing.txt", "--json")
    assert unknown.problem["code"] == "artifact_unknown"
