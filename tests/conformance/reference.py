"""The reference implementation as a process: `dragan dev` with tokens, a lane, and a lane that is full."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dragancorp
import dragancorp_contracts

FULL_TOKEN, LIMITED_TOKEN = "reference-full-token", "reference-limited-token"
DRAWING_TOKEN = "reference-token-of-every-scope"
LANE, FULL_LANE = "vp.coder.primary", "vp.coder.full"
START_SECONDS = 60.0
LANES = f"""
lanes:
  - vp_id: {LANE}
    description: Runs commands.
    executor: {{type: automation, allow: [echo]}}
    queue_limit: 1000000
  - vp_id: {FULL_LANE}
    description: Takes nothing.
    executor: {{type: automation, allow: [echo]}}
    queue_limit: 0
"""
SCOPES = {
    FULL_TOKEN: ["missions:read", "missions:write", "ops:read", "ops:write", "fleet:write"],
    LIMITED_TOKEN: ["missions:read"],
    DRAWING_TOKEN: ["missions:read", "missions:write", "ops:read", "ops:write", "lanes:run", "fleet:write"],
}


@contextmanager
def reference(folder: Path) -> Iterator[str]:
    """The URL of a control plane that lives in the folder until it is left."""
    (folder / "lanes.yaml").write_text(LANES)
    tokens = [
        {"name": f"t{number}", "sha256": hashlib.sha256(token.encode()).hexdigest(), "scopes": scopes}
        for number, (token, scopes) in enumerate(SCOPES.items())
    ]
    (folder / "tokens.json").write_text(json.dumps({"tokens": tokens}))
    packages = [str(Path(str(package.__file__)).parent.parent) for package in (dragancorp, dragancorp_contracts)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UA_")}
    environment = {
        **kept,
        "PYTHONPATH": os.pathsep.join(packages),
        "UA_TOKENS_FILE": str(folder / "tokens.json"),
    }
    out, err = folder / "plane.out", folder / "plane.err"
    with out.open("w") as told, err.open("w") as noted:
        process = subprocess.Popen(
            [sys.executable, "-m", "dragancorp.cli", "dev", "--port", "0", "--json", "--grace", "0"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=noted,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not out.read_text().endswith("\n"):
            assert process.poll() is None, err.read_text()
            assert time.monotonic() < until, f"not ready in time: {err.read_text()}"
            time.sleep(0.05)
        yield str(json.loads(out.read_text())["url"])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
