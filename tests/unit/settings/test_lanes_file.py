"""Reading `lanes.yaml`: what is in it, and the line and rule of everything that is wrong."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lanes_file import read_lanes

GOOD = """\
lanes:
  - vp_id: vp.coder.primary
    executor: {type: automation, allow: [git apply, "make *"]}
    aliases: [CODIE]
    flag: CODER_VP
    workspace:
      kind: worktree
      repository: ../parser
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes the text to a lanes file."""

    def write_one(text: str) -> Path:
        path = tmp_path / "etc" / "lanes.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write_one


def refused(path: Path) -> DraganError:
    with pytest.raises(DraganError) as caught:
        read_lanes(path)
    assert caught.value.code is ErrorCode.LANES_FILE_INVALID
    return caught.value


def test_a_good_file_gives_its_lanes_with_absolute_repositories(write: Write, tmp_path: Path) -> None:
    (lane,) = read_lanes(write(GOOD))
    assert lane["executor"] == {"type": "automation", "allow": ["git apply", "make *"]}
    assert lane["workspace"] == {"kind": "worktree", "repository": str(tmp_path / "etc" / "../parser")}


def test_a_repository_is_found_from_the_files_folder_wherever_the_process_stands(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(GOOD)
    monkeypatch.chdir(tmp_path)
    (lane,) = read_lanes(Path("etc/lanes.yaml"))
    assert Path(lane["workspace"]["repository"]).resolve() == tmp_path / "parser"


@pytest.mark.parametrize(("program", "found"), [("./agent.sh", "etc/./agent.sh"), ("/opt/agent", "/opt/agent")])
def test_a_program_with_a_slash_is_found_from_the_files_folder(
    write: Write, tmp_path: Path, program: str, found: str
) -> None:
    path = write(f"lanes:\n  - vp_id: vp.a\n    executor: {{type: process, command: [{program}, ./word]}}\n")
    (lane,) = read_lanes(path)
    assert lane["executor"]["command"] == [str(tmp_path / found), "./word"]


def test_every_broken_rule_is_named_with_its_line(write: Write) -> None:
    text = """\
lanes:
  - vp_id: vp.coder.primary
    executor:
      type: automation
    start_timeout: 0
    heartbeat_interval: 200
  - vp_id: Coder
    executor: {type: magic}
    parallel_missions: two
"""
    error = refused(write(text))
    found = {(violation.line, violation.pointer, violation.rule) for violation in error.violations}
    assert found == {
        (5, "/lanes/0/start_timeout", "lane/v1#/properties/start_timeout/minimum"),
        (7, "/lanes/1/vp_id", "common/v1#/$defs/vp_id/pattern"),
        (8, "/lanes/1/executor/type", "lane/v1#/properties/executor/properties/type/enum"),
        (9, "/lanes/1/parallel_missions", "lane/v1#/properties/parallel_missions/type"),
    }
    assert "line " in str(error)
    assert "(and 3 more)" in str(error)


@pytest.mark.parametrize(
    ("members", "line", "rule"),
    [
        ("    heartbeat_interval: 200\n", 4, "LAN-1"),
        ("    parallel_missions: 2\n", 4, "LAN-5"),
        ("  - vp_id: vp.a\n    executor: {type: automation}\n", 4, "LAN-2"),
        ("    aliases: [X]\n  - vp_id: vp.b\n    executor: {type: automation}\n    aliases: [x]\n", 7, "LAN-3"),
        ("    flag: F\n  - vp_id: vp.b\n    executor: {type: automation}\n    flag: F\n", 7, "LAN-4"),
    ],
)
def test_rules_that_no_schema_can_say_are_told_with_their_line(
    write: Write, members: str, line: int, rule: str
) -> None:
    error = refused(write("lanes:\n  - vp_id: vp.a\n    executor: {type: automation}\n" + members))
    assert [(violation.line, violation.rule) for violation in error.violations] == [(line, rule)]


def test_a_wrong_object_has_the_line_of_its_name(write: Write) -> None:
    text = "lanes:\n  - vp_id: vp.a\n    executor: {type: automation}\n    recovery:\n\n      - retry\n"
    (violation,) = refused(write(text)).violations
    assert (violation.pointer, violation.line) == ("/lanes/0/recovery", 4)


def test_a_missing_member_is_told_at_the_place_around_it(write: Write) -> None:
    (violation,) = refused(write("lanes:\n\n  - vp_id: vp.a\n")).violations
    assert (violation.line, violation.pointer) == (3, "/lanes/0")


def test_a_key_that_stands_twice_is_refused_at_the_second(write: Write) -> None:
    text = "lanes:\n  - vp_id: vp.a\n    executor: {type: automation}\n    queue_limit: 5\n    queue_limit: 6\n"
    (violation,) = refused(write(text)).violations
    assert (violation.pointer, violation.line) == ("/lanes/0/queue_limit", 5)


@pytest.mark.parametrize("text", ["2026-01-01", "2026-01-01T10:00:00Z", "<<", "="])
def test_what_yaml_would_make_a_date_or_more_of_stays_text(write: Write, text: str) -> None:
    (lane,) = read_lanes(write(GOOD + f"    description: {text}\n"))
    assert lane["description"] == text


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("start_timeout: .inf", "not a number"),
        ("start_timeout: .NaN", "not a number"),
        ("1: one", "key must be text"),
        ("yes: one", "key must be text"),
        ("? [a]\n    : b", "key must be text"),
        ('description: "\\ud800"', "surrogate"),
        ("description: !!binary aGk=", "tags are not taken"),
        ("description: !!python/object/apply:os.system [true]", "tags are not taken"),
        ("aliases: &names [CODIE]", "anchors and aliases"),
        ("aliases: *names", "anchors and aliases"),
    ],
)
def test_what_json_could_not_say_is_refused_with_its_line(write: Write, line: str, problem: str) -> None:
    (violation,) = refused(write("lanes:\n  - vp_id: vp.a\n    " + line + "\n")).violations
    assert problem in violation.message
    assert violation.line == 3


@pytest.mark.parametrize(
    "text",
    [
        "lanes: [",
        "lanes:\n\t- a",
        "lanes: {a: b",
        "a: 1\n---\nb: 2\n",
        "\x07",
        "lanes: 0x_",
        pytest.param("lanes: " + "9" * 5000, id="a number of 5000 digits"),
        pytest.param("lanes:\n  - queue_limit: " + "9" * 400, id="a number of 400 digits"),
        "",
        "just text",
        "[]",
        "lanes: []",
    ],
)
def test_broken_yaml_and_what_is_no_lanes_file_are_refused(write: Write, text: str) -> None:
    error = refused(write(text))
    assert all(violation.line is not None and violation.line >= 1 for violation in error.violations)
    assert error.violations


@pytest.mark.parametrize(
    "text",
    ["[" * 50_000, "{a: " * 5000, "lanes: " + "[" * 65 + "]" * 65],
    ids=["lists never closed", "mappings never closed", "one level too deep"],
)
def test_deep_nesting_is_refused(write: Write, text: str) -> None:
    (violation,) = refused(write(text)).violations
    assert "deeper than 64" in violation.message


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "lanes: &self [*self]\n",
    ],
    ids=["a bomb of aliases", "a list that holds itself"],
)
def test_a_bomb_of_aliases_goes_off_nowhere(write: Write, text: str) -> None:
    began = time.monotonic()
    refused(write(text))
    assert time.monotonic() - began < 1


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    assert "nowhere.yaml" in str(refused(tmp_path / "nowhere.yaml"))
    (tmp_path / "lanes.yaml").write_bytes(b"lanes: \xff")
    refused(tmp_path / "lanes.yaml")
    refused(tmp_path)
