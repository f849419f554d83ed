"""A copy of the checkout, in which a contract may be edited and everything is made and run from the copy."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
COPIED = ("specs", "generated", "runtime", "conformance", "templates", "docs", "requirements")
FILES = ("Makefile", "pyproject.toml", ".gitignore")
NOT_COPIED = shutil.ignore_patterns("__pycache__", ".ruff_cache", ".mypy_cache", "tests")
SECONDS = 100.0
LANES = """
lanes:
  - vp_id: vp.coder.primary
    executor: {type: automation, allow: [echo]}
"""


@dataclass(frozen=True)
class Checkout:
    """A folder with everything that a clone has, but no history except one commit of what was copied."""

    folder: Path

    @classmethod
    def copied_to(cls, folder: Path) -> "Checkout":
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=NOT_COPIED)
        for name in FILES:
            shutil.copy(ROOT / name, folder / name)
        copy = cls(folder)
        copy.git("init", "--quiet")
        copy.git("add", "--all")
        copy.git("commit", "--quiet", "--message", "as it was")
        return copy

    @property
    def environment(self) -> dict[str, str]:
        """The copy's packages before any installed ones, and no settings from around the tests."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("UA_")}
        packages = [str(self.folder / name) for name in ("runtime", "generated", "conformance")]
        # Compiled once for all processes, and not in the copy, where it would count as a change.
        compiled = str(self.folder.parent / "compiled")
        return {**kept, "PYTHONPATH": os.pathsep.join(packages), "PYTHONPYCACHEPREFIX": compiled}

    def run(self, *command: str, expected: int = 0) -> str:
        """What a command prints; it has to end as expected."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == expected, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, *arguments: str, expected: int = 0) -> str:
        return self.run(sys.executable, *arguments, expected=expected)

    def git(self, *arguments: str) -> str:
        return self.run("git", "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments)

    def make_codegen(self) -> None:
        """`make codegen`, as the Makefile has it, with the tools that are installed here."""
        (self.folder / ".installed").touch()
        self.run("make", "codegen", f"BIN={Path(sys.executable).parent}", "STAMP=.installed")
        (self.folder / ".installed").unlink()

    def changed(self) -> set[str]:
        """Every path that is no longer what was committed."""
        lines = self.git("status", "--porcelain", "--untracked-files=all").splitlines()
        return {line[3:] for line in lines}

    @contextmanager
    def edit(self, path: str) -> Iterator[Any]:
        """A JSON file to change in place."""
        document = json.loads((self.folder / path).read_text())
        yield document
        (self.folder / path).write_text(json.dumps(document, indent=2) + "\n")

    @contextmanager
    def plane(self) -> Iterator[Any]:
        """A control plane served from the copy; gives what `plane.json` says: `url` and `token`."""
        data = self.folder.parent / "data"
        lanes = self.folder.parent / "lanes.yaml"
        lanes.write_text(LANES)
        log = self.folder.parent / "plane.log"
        command = ["serve", "--port", "0", "--data", str(data), "--lanes", str(lanes)]
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "dragancorp.cli", *command], cwd=self.folder.parent, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            until = time.monotonic() + SECONDS
            while not (data / "plane.json").is_file():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)
            yield json.loads((data / "plane.json").read_text())
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
