"""Wrong usage ends with 2 and says what is wrong; nothing is sent, nothing is written."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DISPATCH = ("mission", "dispatch", "--lane", "vp.coder.primary", "--objective", "x")
TOKEN = ("token", "new", "--name", "simone", "--scope", "ops:read")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mission", "dispatch"), "--lane and --objective"),
        (("mission", "dispatch", "--lane", "vp.coder.primary"), "--lane and --objective"),
        (("mission", "dispatch", "--objective", "x"), "--lane and --objective"),
        (("mission", "dispatch", "file.json", "--lane", "vp.coder.primary", "--key", "k"), "leave out --lane, --key"),
        (("mission", "dispatch", "there-is-no-such-file.json"), "No such file"),
        (("mission", "dispatch", "."), "Is a directory"),
        ((*DISPATCH, "--run", "echo 'open"), "No closing quotation"),
        ((*DISPATCH, "--run", ""), "at least one word"),
        (("mission", "list", "--limit", "0"), "--limit"),
        (("mission", "list", "--limit", "501"), "--limit"),
        (("mission", "show"), "ID"),
        (("lane", "show", "../x"), "VP_ID"),
        (("lane", "drain", "vp.coder.primary"), "--reason"),
        (("lane", "reset", "../x", "--reason", "y"), "VP_ID"),
        (("mission", "approve", "m-1", "--answer", "[]"), "an answer is a JSON object"),
        (("mission", "approve", "m-1", "--max-llm-calls", "-1"), "--max-llm-calls"),
        (("nonsense",), "nonsense"),
        (("dev", "--port", "70000"), "--port"),
        (("dev", "--grace", "-1"), "--grace"),
        (("token", "new", "--name", "x"), "--scope"),
        (("token", "new", "--name", "x", "--scope", "everything"), "--scope"),
        (("token", "new", "--name", "not a name", "--scope", "ops:read"), "--name"),
        ((*TOKEN, "--vp", "coder"), "--vp"),
        ((*TOKEN, "--source", "../x"), "--source"),
        ((*TOKEN, "--expires-in", "0"), "--expires-in"),
    ],
)
def test_wrong_usage_ends_with_two_and_names_what_is_wrong(
    dragan: Any, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = dragan(*arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in re.sub(r"\s+", " ", done.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mission_id", ["", "..", "../../healthz", "m/../x", "a b", "x" * 200, "m\n1", "m\x1b[2J"])
@pytest.mark.parametrize("command", ["show", "watch", "cancel"])
def test_ids_that_climb_out_are_wrong_usage(dragan: Any, command: str, mission_id: str) -> None:
    done = dragan("mission", command, mission_id, "--url", "http://127.0.0.1:9")

    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("group", [(), ("mission",), ("lane",), ("token",), ("spec",)])
def test_a_group_without_a_command_shows_its_help(dragan: Any, group: tuple[str, ...]) -> None:
    assert "Commands:" in dragan(*group).output


def test_every_command_explains_its_options(dragan: Any) -> None:
    commands = [
        ("dev",), ("serve",), ("doctor",), ("mission", "dispatch"), ("mission", "list"), ("mission", "show"),
        ("mission", "watch"), ("mission", "cancel"), ("lane", "list"), ("lane", "show"), ("token", "new"),
        ("spec", "codegen"),
    ]  # fmt: skip
    for command in commands:
        done = dragan(*command, "--help")
        assert done.exit_code == 0
        assert "--json" in done.stdout
        for line in done.stdout.splitlines():
            if line.startswith("  --"):
                assert re.search(r"\S  +\S|^  --[a-z-]+( \S+)*$", line), (
                    f"{command} leaves an option unexplained: {line}"
                )


def test_help_needs_nothing_heavy() -> None:
    heavy = {"sqlalchemy", "sqlmodel", "litestar", "uvicorn", "httpx", "pydantic", "jsonschema_rs", "structlog"}
    program = f"import sys, dragancorp.cli.app; print(sorted({heavy!r} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
