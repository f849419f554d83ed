"""Any program is a lane: `make agents-demo`.

The same coding mission goes through four kinds of executor, then agents that misbehave show what the runtime does about
it. Real processes, a real repository, a real database, in `.demo/agents/`. No model and no credential is needed.
"""

import asyncio
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from agents import MISBEHAVING, PLAIN, SPEAKS
from rich.console import Console
from rich.table import Table

from dragancorp.control_plane import ControlPlane
from dragancorp.executors.catalogue import make_executor
from dragancorp.lifecycle.commands import By
from dragancorp.missions.commands import Requester
from dragancorp.registry.queries import GetMission, ListArtifacts, ReadLedger
from dragancorp_contracts.lifecycle import Actor

DEMO = Path(__file__).parent.parent / "demo"
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
PATIENCE = 60.0  # seconds that all missions together may take before the demo calls it broken
CALLER = Requester(by=By(kind=Actor.CALLER, name="demo"))


def main() -> int:
    """0 when every mission ended as the runtime promises."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    folder = Path(sys.argv[1] if sys.argv[1:] else ".demo/agents").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    repository = make_repository(folder / "repository")
    (folder / "data" / "lanes").mkdir(parents=True)
    for place in (folder, folder / "data" / "lanes"):  # beside the scripts, and where the generator looks
        shutil.copy(DEMO / "fix.patch", place)
    console = Console(highlight=False)
    wrong = asyncio.run(tell(folder, repository, console))
    for line in wrong:
        console.print(f"not as promised: {line}")
    console.print(f"Ledgers, logs and patches lie in {folder}. How to make a lane of your own: docs/how-to/lane.md")
    return 1 if wrong else 0


def make_repository(folder: Path) -> Path:
    """A git repository whose one test fails."""
    shutil.copytree(DEMO / "repository", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "gitignore").rename(folder / ".gitignore")
    identity = ("-c", "user.name=Demo", "-c", "user.email=demo@example.org")
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*identity, "commit", "-q", "-m", "Slugs")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def script(folder: Path, name: str, text: str) -> str:
    """An executable script in the demo's folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return str(path)


def executors(folder: Path) -> dict[str, dict[str, Any]]:
    """The four kinds, by lane."""
    return {
        "automation": {"type": "automation", "allow": ["git apply", "python3 -m unittest"]},
        "process": {"type": "process", "command": [script(folder, "speaks", SPEAKS)]},
        "tool": {"type": "tool", "command": [script(folder, "plain", PLAIN), "--", "{objective}"]},
        "callable": {"type": "callable", "target": "agents:codie"},
    }


async def tell(folder: Path, repository: Path, console: Console) -> list[str]:
    """Run everything and print the two tables; answers what did not end as promised."""
    kinds = executors(folder)
    workspace = {"kind": "worktree", "repository": str(repository)}
    lanes: list[Mapping[str, Any]] = [
        {"vp_id": f"vp.{name}.primary", "executor": executor, "workspace": workspace}
        for name, executor in kinds.items()
    ]
    lanes += [
        {
            "vp_id": f"vp.bad.{name}",
            "executor": {
                "type": "process",
                "command": [script(folder, name, agent.script)],
                "cancel_grace_seconds": 0.5,
            },
            **agent.limits,
        }
        for name, agent in MISBEHAVING.items()
    ]
    plane = await ControlPlane.open(f"sqlite:///{folder / 'data' / 'state.db'}", lanes=lanes, data=folder / "data")
    try:
        missions = {lane["vp_id"]: await dispatch(plane, lane["vp_id"]) for lane in lanes}
        rows = {vp_id: await ended(plane, mission_id) for vp_id, mission_id in missions.items()}
        wrong = []
        kept = Table("lane", "outcome", "summary", "artifacts", "calls", "a cancel")
        for name, executor in kinds.items():
            row = rows[f"vp.{name}.primary"]
            found = await plane.store.read(ListArtifacts(mission_id=row.mission_id))
            calls = str(row.usage.get("llm_calls", "not told"))
            stop = make_executor(executor).capabilities.stop.value
            names = ", ".join(sorted(one["name"] for one in found))
            kept.add_row(name, outcome(row), await last_word(plane, row.mission_id), names, calls, f"{stop} it")
            wrong += [] if outcome(row) == "completed" else [f"{name}: {outcome(row)}"]
        console.print("The same coding mission through four kinds of executor:", kept)
        bad = Table("agent", "outcome", "what the runtime did about it")
        for name, agent in MISBEHAVING.items():
            row = rows[f"vp.bad.{name}"]
            bad.add_row(name, outcome(row), agent.done_about_it)
            wrong += [] if outcome(row) == agent.outcome else [f"{name}: {outcome(row)}, not {agent.outcome}"]
        console.print("Agents that misbehave:", bad)
        return wrong
    finally:
        await plane.close()


async def dispatch(plane: ControlPlane, vp_id: str) -> str:
    """Give a lane the demo's mission; answers its id."""
    steps = [
        {"name": "change", "run": ["git", "apply", "-"], "stdin": (DEMO / "fix.patch").read_text()},
        {"name": "test", "kind": "test", "run": ["python3", "-m", "unittest"]},
    ]
    envelope: dict[str, Any] = {
        "vp_id": vp_id,
        "mission_type": "coding",
        "objective": "Make slug() survive punctuation",
        "idempotency_key": f"demo-{vp_id}",
        "budget": {"max_runtime_minutes": 5},
    }
    if vp_id == "vp.automation.primary":
        envelope["extensions"] = [{"uri": AUTOMATION, "required": True, "value": {"steps": steps}}]
    return (await plane.missions.dispatch(envelope, CALLER)).mission.row.mission_id


async def ended(plane: ControlPlane, mission_id: str) -> Any:
    """The mission's row once it has ended."""
    until = time.monotonic() + PATIENCE
    while True:
        stored = await plane.store.read(GetMission(mission_id=mission_id))
        if stored is not None and stored.row.terminal:
            return stored.row
        if time.monotonic() > until:
            raise SystemExit(f"mission {mission_id} has not ended within {PATIENCE:g} s")
        await asyncio.sleep(0.1)


def outcome(row: Any) -> str:
    """State and reason."""
    return str(row.state.value) if row.reason_code is None else f"{row.state.value} {row.reason_code.value}"


async def last_word(plane: ControlPlane, mission_id: str) -> str:
    """The summary of the mission's last entry."""
    part = await plane.store.read(ReadLedger(mission_id=mission_id, limit=200))
    return "" if part is None else str(part.events[-1].get("summary", ""))


if __name__ == "__main__":
    sys.exit(main())
