"""One format for everything generated, by the same tool and line length as the rest of the house."""

import subprocess
import sys
from pathlib import Path

LINE_LENGTH = "120"


def tidy(folder: Path) -> None:
    """Sort imports, drop unused ones and format every Python file below the folder."""
    ruff = [sys.executable, "-m", "ruff"]  # an extra: only who generates code needs it
    common = ["--isolated", "--no-cache", "--quiet", "--line-length", LINE_LENGTH, "--target-version", "py311"]
    run([*ruff, "check", *common, "--select", "I,F401,UP", "--fix", "--exit-zero", str(folder)])
    run([*ruff, "format", *common, str(folder)])


def run(command: list[str]) -> None:
    """Run a tool; what it says on failure is part of the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:2])} failed: {done.stdout}{done.stderr}")
