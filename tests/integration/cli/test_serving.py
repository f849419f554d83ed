"""`dragan dev` and `dragan serve` as processes: how they start, what they leave, how they end."""

import json
import os
import signal
import socket
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragancorp.tokens_file import digest_of


def test_it_says_where_it_is_and_leaves_a_way_in_for_its_user_alone(start_plane: Any, alone: Any) -> None:
    plane = start_plane()

    assert httpx.get(f"{plane.url}/healthz").json()["status"] == "ok"
    assert f"ready at {plane.url}" in plane.err
    assert "this host only" in plane.err
    assert stat.S_IMODE(plane.file.stat().st_mode) == 0o600
    left = json.loads(plane.file.read_text())
    assert (left["url"], left["pid"], left["instance_id"]) == (plane.url, plane.process.pid, "local")
    assert left["token"] not in plane.err
    assert left["token"] not in json.dumps(plane.ready)
    assert [session["vp_id"] for session in alone.ask("lane", "list")["sessions"]] == ["vp.coder.primary"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(start_plane: Any, alone: Any, number: int) -> None:
    plane = start_plane()

    assert plane.stop(number) == 0

    assert not plane.file.exists()
    assert "Traceback" not in plane.err
    assert alone("lane", "list").exit_code == 3


def test_a_mission_within_the_grace_ends_before_the_plane_does(
    start_plane: Any, alone: Any, wait_until: Any, folder: Path
) -> None:
    plane = start_plane("--grace", "60")
    mission_id = alone.dispatch(f"sh -c 'touch {folder}/up; until test -e {folder}/go; do sleep 0.1; done'")
    wait_until((folder / "up").exists)

    os.killpg(plane.process.pid, signal.SIGINT)  # what Ctrl-C does: everything in the terminal's foreground hears it
    wait_until(lambda: "draining" in plane.err)
    (folder / "go").touch()

    assert plane.process.wait(timeout=60) == 0
    start_plane()
    assert alone.state(mission_id) == "completed"
    assert alone.ask("mission", "show", mission_id)["mission"]["attempt"] == 1


def test_a_mission_over_the_grace_is_handed_back_and_done_after_the_next_start(
    start_plane: Any, alone: Any, wait_until: Any, folder: Path
) -> None:
    plane = start_plane("--grace", "0.2")
    # The second time it finds the mark of the first and does not linger.
    mission_id = alone.dispatch(f"sh -c 'test -e {folder}/mark || {{ touch {folder}/mark; sleep 60; }}'")
    wait_until((folder / "mark").exists)

    assert plane.stop() == 0

    start_plane()
    assert alone("mission", "watch", mission_id).exit_code == 0
    shown = alone.ask("mission", "show", mission_id)
    assert (shown["mission"]["attempt"], shown["mission"]["failures"]) == (2, 0)
    assert [event["type"] for event in shown["events"]].count("vp.mission.completed") == 1


def test_a_second_signal_ends_it_at_once(start_plane: Any, alone: Any, wait_until: Any) -> None:
    plane = start_plane("--grace", "600")
    mission_id = alone.dispatch("sleep 120")
    wait_until(lambda: alone.state(mission_id) == "running")
    plane.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "draining" in plane.err)

    assert plane.stop() == 1

    assert "stopped at once" in plane.err
    assert not plane.file.exists()


def test_serve_leaves_the_lanes_to_workers(start_plane: Any, alone: Any) -> None:
    plane = start_plane(command="serve")

    assert "lanes need workers" in plane.err
    mission_id = alone.dispatch("echo x")
    assert alone.state(mission_id) == "queued"
    assert alone.ask("lane", "show", "vp.coder.primary")["status"] == "idle"


def test_a_port_in_use_is_said_before_anything_is_touched(alone: Any, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = alone("dev", "--port", str(port))

    assert done.exit_code == 3
    assert "(port_in_use)" in done.err
    assert str(port) in done.err
    assert "--port" in done.err
    assert not (folder / ".dragan").exists()


def test_a_second_process_on_the_same_data_is_told_pid_and_url(start_plane: Any, alone: Any) -> None:
    plane = start_plane()

    done = alone("dev", "--port", "0", "--json")

    assert (done.exit_code, done.problem["code"]) == (3, "database_owned")
    assert str(plane.process.pid) in done.problem["detail"]
    assert plane.url in done.problem["detail"]
    assert plane.file.exists()
    assert alone("lane", "list").exit_code == 0


def test_an_unwritable_data_folder_is_an_unfit_environment(alone: Any, folder: Path) -> None:
    (folder / "file").write_text("not a folder")

    done = alone("dev", "--port", "0", "--data", "file/below")

    assert done.exit_code == 3
    assert "(data_folder_unusable)" in done.err
    assert "--data" in done.err


def test_a_database_of_a_newer_version_is_left_alone(start_plane: Any, alone: Any, folder: Path) -> None:
    import sqlite3

    start_plane().stop()
    with sqlite3.connect(folder / ".dragan" / "state.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()

    done = alone("dev", "--port", "0")

    assert done.exit_code == 3
    assert "(database_newer)" in done.err


def test_a_broken_lanes_file_is_refused_with_line_and_rule(alone: Any, folder: Path) -> None:
    (folder / "lanes.yaml").write_text(
        "lanes:\n  - vp_id: vp.coder.primary\n    executor: {type: automation}\n    lease_ttl: -1\n    colour: red\n"
    )

    done = alone("dev", "--port", "0", "--json")
    for_people = alone("dev", "--port", "0")

    assert (done.exit_code, done.problem["code"]) == (3, "lanes_file_invalid")
    lines = {one["line"]: one["rule"] for one in done.problem["violations"]}
    assert lines[4] == "lane/v1#/properties/lease_ttl/minimum"
    assert "line 4" in for_people.err
    assert not (folder / ".dragan").exists()


@pytest.mark.parametrize("text", ["lanes: [", "lanes:\n\t- x", "", "lanes: 3", "lanes: []\nlanes: []\n"])
def test_a_lanes_file_that_is_none_is_refused(alone: Any, folder: Path, text: str) -> None:
    (folder / "lanes.yaml").write_text(text)

    done = alone("dev", "--port", "0")

    assert done.exit_code == 3
    assert "(lanes_file_invalid)" in done.err
    assert "line " in done.err


def test_a_missing_lanes_file_is_said(alone: Any) -> None:
    done = alone("dev", "--port", "0", "--lanes", "nowhere.yaml")

    assert done.exit_code == 3
    assert "nowhere.yaml" in done.err
    assert "--lanes" in done.err


def test_without_a_token_no_other_host_is_served(alone: Any) -> None:
    done = alone("dev", "--port", "0", "--host", "0.0.0.0")

    assert done.exit_code == 3
    assert "(settings_invalid)" in done.err
    assert "UA_OPS_TOKEN" in done.err


def test_the_operators_token_opens_every_address_and_stands_in_the_plane_file(start_plane: Any, alone: Any) -> None:
    plane = start_plane("--host", "0.0.0.0", UA_OPS_TOKEN="of-the-operator")

    assert plane.url.startswith("http://127.0.0.1:")
    assert json.loads(plane.file.read_text())["token"] == "of-the-operator"
    assert "this host only" not in plane.err
    assert alone("lane", "list").exit_code == 0
    assert alone("lane", "list", "--url", plane.url, "--token", "of-the-operator").exit_code == 0
    assert alone("lane", "list", "--token", "another").exit_code == 1


def test_tokens_of_a_file_do_what_their_scopes_say(start_plane: Any, alone: Any, folder: Path) -> None:
    text = alone("token", "new", "--name", "reader", "--scope", "missions:read", "--file", "tokens.json").out.strip()
    entries = json.loads((folder / "tokens.json").read_text())["tokens"]
    assert entries[0]["sha256"] == digest_of(text)
    plane = start_plane(UA_TOKENS_FILE=str(folder / "tokens.json"))

    reads = alone("mission", "list", "--token", text)
    writes = alone("mission", "cancel", "m-1", "--token", text, "--json")
    own = alone("lane", "list")

    assert reads.exit_code == 0
    assert (writes.exit_code, writes.problem["code"]) == (1, "scope_missing")
    assert "missions:write" in writes.problem["detail"]
    assert "UA_OPS_TOKEN" in writes.problem["hint"]
    assert own.exit_code == 0
    assert json.loads(plane.file.read_text())["token"] != text


def test_a_broken_tokens_file_is_refused(folder: Path, alone: Any) -> None:
    (folder / "tokens.json").write_text('{"tokens": [{"name": "x", "sha256": "y", "scopes": []}]}')
    alone.extra["UA_TOKENS_FILE"] = "tokens.json"

    done = alone("dev", "--port", "0", "--json")

    assert (done.exit_code, done.problem["code"]) == (3, "tokens_file_invalid")
    assert len(done.problem["violations"]) == 2


def test_the_environment_may_place_the_registry_elsewhere(start_plane: Any, alone: Any, folder: Path) -> None:
    start_plane(UA_RUNTIME_DB_URL=f"sqlite:///{folder}/elsewhere/registry.db")

    assert alone("lane", "list").exit_code == 0
    assert (folder / "elsewhere" / "registry.db").exists()
    assert not (folder / ".dragan" / "state.db").exists()


def test_a_setting_that_is_none_is_named(alone: Any) -> None:
    alone.extra["UA_INSTANCE_ID"] = "../x"

    done = alone("dev", "--port", "0")

    assert done.exit_code == 3
    assert "UA_INSTANCE_ID" in done.err
