"""The envelope of a mission that is described by options instead of a file."""

import secrets
import shlex
from collections.abc import Sequence
from typing import Any

import typer

AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
KEY_BYTES = 12


def new_key() -> str:
    """A fresh idempotency key."""
    return f"cli-{secrets.token_hex(KEY_BYTES)}"


def envelope(
    *, lane: str, objective: str, commands: Sequence[str], mission_type: str | None, key: str
) -> dict[str, Any]:
    """The envelope; each command is split into words as a shell would, and none goes through one."""
    made: dict[str, Any] = {
        "vp_id": lane,
        "mission_type": mission_type or ("automation" if commands else "custom"),
        "objective": objective,
        "idempotency_key": key,
    }
    if commands:
        steps = [{"run": _words(command)} for command in commands]
        made["extensions"] = [{"uri": AUTOMATION, "required": True, "value": {"steps": steps}}]
    return made


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise typer.BadParameter(f"{command!r}: {error}", param_hint="--run") from error
    if not words:
        raise typer.BadParameter("a command has at least one word", param_hint="--run")
    return words
