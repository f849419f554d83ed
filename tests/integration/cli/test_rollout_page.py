"""The page that walks a lane through its rollout: its commands, as they stand, on a live server with real programs."""

import subprocess
import sys
from pathlib import Path

from dragancorp.rules import violations
from dragancorp_contracts.strict_json import loads

from .conftest import COMMAND_SECONDS, environment

WALK = Path(__file__).parents[3] / "docs" / "how-to" / "rollout" / "walk.py"


def test_every_command_of_the_page_does_what_stands_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    done = subprocess.run(
        [sys.executable, str(WALK), str(folder)],
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=8 * COMMAND_SECONDS,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "gate_held" not in said
    assert "fallback_forced by" in said
    assert "exit code 4" in said
    assert said.count("'lane'") >= 2, "CODIE answered in the limited cohort and in the broadened one"
    bundle = loads((folder / "bundle.json").read_bytes())
    assert violations("rollout-evidence#/$defs/bundle", bundle) == []
    assert "READY_FOR_LIMITED_COHORT_PILOT" in (folder / "evidence.md").read_text()
    stages = {entry["stage"] for entry in bundle["evidence"]}
    assert stages == {"off", "shadow", "limited_cohort", "broadened", "default_on"}
