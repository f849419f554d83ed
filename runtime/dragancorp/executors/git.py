"""Git, run so that nothing of the surroundings changes what it does.

No hooks, no pager, no prompt, no editor, no file-system monitor, and no repository found above the folder it is
run in. The user's own configuration (name, signing, filters) still holds.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_TIMEOUT_SECONDS = 300.0


class GitError(Exception):
    """Git ended with an error; the message is what it said."""


def command(*words: str) -> list[str]:
    """The whole command line for a git command."""
    return [
        "git",
        *("-c", "core.hooksPath=/dev/null"),
        *("-c", "core.fsmonitor=false"),
        *("-c", "advice.addEmbeddedRepo=false"),
        "--no-pager",
        *words,
    ]


def environment(folder: Path, surroundings: Mapping[str, str]) -> dict[str, str]:
    """The environment for git in `folder`: `surroundings` without git's own variables, and no questions asked."""
    kept = {name: value for name, value in surroundings.items() if not name.startswith("GIT_")}
    return kept | {
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_EDITOR": "true",
        "LC_ALL": "C.UTF-8",
    }


def run(folder: Path, *words: str) -> str:
    """Run a git command in `folder` to its end and return its output. Blocks. Raises `GitError`."""
    try:
        ended = subprocess.run(
            command(*words),
            cwd=folder,
            env=environment(folder, os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise GitError(f"{error.filename} is not there") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {words[0]} did not end within {_TIMEOUT_SECONDS:g} seconds") from error
    if ended.returncode != 0:
        said = ended.stderr.decode(errors="replace").strip()
        raise GitError(f"git {' '.join(words[:2])}: {said or f'exit code {ended.returncode}'}")
    return ended.stdout.decode(errors="replace")
