"""`dragan doctor`: a line for each check, 3 when something would not work."""

import json
from pathlib import Path
from typing import Any

import pytest

NAMES = {
    "python", "platform", "sqlite", "git", "clock", "settings", "lanes file", "tokens", "data folder", "fsync",
    "database", "plane", "programs", "rollout policy",
}  # fmt: skip


def by_name(done: Any) -> dict[str, Any]:
    return {check["name"]: check for check in done.json["checks"]}


def test_a_fit_environment_ends_with_zero_and_nothing_is_made(alone: Any, folder: Path) -> None:
    done = alone("doctor", "--json")

    assert done.exit_code == 0, done.out
    assert done.json["fit"] is True
    assert set(by_name(done)) == NAMES
    assert all(check["advice"] for check in done.json["checks"] if check["status"] != "ok")
    assert [path.name for path in folder.iterdir()] == ["lanes.yaml"]


def test_for_people_it_is_a_line_a_check(alone: Any) -> None:
    lines = alone("doctor").out.splitlines()

    assert {line[:4].strip() for line in lines} <= {"ok", "warn", "fail", ""}
    assert sum(not line.startswith(" ") for line in lines) == len(NAMES)


def test_a_running_plane_is_found_and_a_dead_one_too(start_plane: Any, alone: Any) -> None:
    plane = start_plane()
    running = by_name(alone("doctor", "--json"))["plane"]
    plane.kill()
    left = alone("doctor", "--json")

    assert running["status"] == "ok"
    assert plane.url in running["detail"]
    assert left.exit_code == 0
    assert by_name(left)["plane"]["status"] == "warn"
    assert str(plane.process.pid) in by_name(left)["plane"]["detail"]


@pytest.mark.parametrize(
    ("name", "settings", "files", "options"),
    [
        ("lanes file", {}, {}, ("--lanes", "nowhere.yaml")),
        ("lanes file", {}, {"lanes.yaml": "lanes: [{vp_id: x}]"}, ()),
        ("settings", {"UA_INSTANCE_ID": "../x"}, {}, ()),
        ("settings", {"UA_ENABLE_CODER_VP": "perhaps"}, {"lanes.yaml": "flag"}, ()),
        ("tokens", {"UA_TOKENS_FILE": "nowhere.json"}, {}, ()),
        ("tokens", {"UA_TOKENS_FILE": "tokens.json"}, {"tokens.json": "{}"}, ()),
        ("data folder", {}, {"file": ""}, ("--data", "file/below")),
        ("data folder", {}, {"file": ""}, ("--data", "file")),
        ("programs", {}, {"lanes.yaml": "program"}, ()),
        ("rollout policy", {"UA_ROLLOUT_POLICY_FILE": "nowhere.yaml"}, {}, ()),
        ("rollout policy", {"UA_ROLLOUT_POLICY_FILE": "policy.json"}, {"policy.json": "{}"}, ()),
        ("git", {"PATH": "/nowhere"}, {"lanes.yaml": "worktree"}, ()),
    ],
)
def test_what_would_not_work_fails_with_advice(
    alone: Any, folder: Path, name: str, settings: dict[str, str], files: dict[str, str], options: tuple[str, ...]
) -> None:
    lanes = {
        "flag": "lanes: [{vp_id: vp.a, flag: CODER_VP, executor: {type: automation}}]",
        "program": "lanes: [{vp_id: vp.a, executor: {type: process, command: [./nowhere]}}]",
        "worktree": "lanes: [{vp_id: vp.a, executor: {type: automation}, workspace: {kind: worktree, repository: .}}]",
    }
    for file, text in files.items():
        (folder / file).write_text(lanes.get(text, text))
    alone.extra.update(settings)

    done = alone("doctor", "--json", *options)

    assert done.exit_code == 3
    assert done.json["fit"] is False
    assert by_name(done)[name]["status"] == "fail"
    assert by_name(done)[name]["advice"]


def test_a_plane_file_of_another_program_fails(alone: Any, folder: Path) -> None:
    (folder / ".dragan").mkdir()
    left = {"url": "http://127.0.0.1:9", "token": "t", "pid": 1, "instance_id": "local"}
    (folder / ".dragan" / "plane.json").write_text(json.dumps(left))

    done = alone("doctor", "--json")

    assert done.exit_code == 3
    assert by_name(done)["plane"]["status"] == "fail"
