"""What the demo's story is told with: a repository, a control plane as a real process, and the terminal."""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console

from dragancorp.control_plane import ControlPlane
from dragancorp.lifecycle.commands import By
from dragancorp.missions.commands import Requester
from dragancorp_contracts.lifecycle import Actor
from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent

HERE = Path(__file__).parent
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
LANE = "vp.coder.primary"
TESTS = ["python3", "-m", "unittest", "-v"]
PATIENCE = 30.0  # seconds that anything here may take before the demo calls it broken


class Stage:
    """The demo's folder and everything in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.data = folder / "data"
        self.database = self.data / "state.db"
        self.lanes = folder / "lanes.yaml"
        self.console = Console(highlight=False, soft_wrap=True)
        # The demo speaks for itself; the log says only what is wrong.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        os.environ["UA_ENABLE_CODER_VP"] = "1"

    # -- the scene

    def prepare(self, *, keep: bool) -> None:
        """Make the repository and the lanes file; `keep` leaves a folder that is there as it is."""
        if keep and self.lanes.exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(HERE / "repository", self.repository, ignore=shutil.ignore_patterns("__pycache__"))
        (self.repository / "gitignore").rename(self.repository / ".gitignore")
        shutil.copy(HERE / "lanes.yaml", self.lanes)
        self._git("init", "--quiet", "--initial-branch", "main")
        self._git("add", ".")
        self._git("-c", "user.name=Demo", "-c", "user.email=demo@example.org", "commit", "--quiet", "-m", "Slugs")

    def _git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.repository, check=True)

    def envelope(self, name: str, *, objective: str, patch: str) -> None:
        """Write a mission envelope to `.demo/<name>.json`."""
        steps = [
            {"name": "change", "kind": "change", "run": ["git", "apply", "-"], "stdin": (HERE / patch).read_text()},
            {"name": "test", "kind": "test", "run": TESTS},
            {"name": "report", "kind": "report", "run": ["git", "diff", "--stat"]},
        ]
        document = {
            "mission_id": f"demo-{name}",
            "vp_id": LANE,
            "mission_type": "coding",
            "objective": objective,
            "success_criteria": ["The repository's own tests pass."],
            "artifact_policy": {"required_outputs": ["report.json", "diff.patch"]},
            "budget": {"max_runtime_minutes": 5},
            "idempotency_key": f"demo-{name}",
            "extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": steps}}],
        }
        self._file(name).write_text(json.dumps(document, indent=2))

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    @staticmethod
    def steps(script: str) -> dict[str, Any]:
        """What a gateway adds to a turn: one command of the repository's tools."""
        value = {"steps": [{"run": ["python3", script]}]}
        return {"extensions": [{"uri": AUTOMATION, "required": True, "value": value}]}

    # -- the actors

    @contextlib.contextmanager
    def control_plane(self) -> Iterator[None]:
        """`dragan dev` as a process of its own, stopped at the end by SIGTERM."""
        command = ["dev", "--port", "0", "--data", str(self.data), "--lanes", str(self.lanes)]
        with (self.folder / "control-plane.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "dragancorp.cli", *command], stderr=log)
        try:
            self._wait_for(self.data / "plane.json", process)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE)
        if code != 0:
            raise SystemExit(f"the control plane ended with {code}; see {self.folder}/control-plane.log")

    def _wait_for(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + PATIENCE
        while not path.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the control plane did not start; see {self.folder}/control-plane.log")
            time.sleep(0.05)

    def _dragan(self, *words: str) -> list[str]:
        self.console.print(f"[bold]$ dragan {' '.join(words)}[/bold]")
        return [sys.executable, "-m", "dragancorp.cli", *words, "--data", str(self.data)]

    def dispatch_and_watch(self, name: str) -> None:
        """Give the envelope to the lane and watch it until its end."""
        subprocess.run(self._dragan("mission", "dispatch", str(self._file(name)), "--watch"), check=True)

    def mission(self, name: str) -> dict[str, Any]:
        """The mission as the command line shows it to programs."""
        command = [sys.executable, "-m", "dragancorp.cli", "mission", "show", f"demo-{name}", "--json"]
        shown = subprocess.run([*command, "--data", str(self.data)], check=True, capture_output=True, text=True)
        document = json.loads(shown.stdout)
        return {**document["mission"], "last_event": document["events"][-1]}

    async def until_active(self, plane: ControlPlane) -> None:
        """Wait until the lane's worker has opened its session."""
        from dragancorp.registry.queries import GetLane

        end = time.monotonic() + PATIENCE
        while True:
            lane = await plane.store.read(GetLane(vp_id=LANE))
            if lane is not None and lane.row.status == "active" and lane.row.executor_session_id:
                return
            if time.monotonic() > end:
                raise SystemExit("the lane did not become active")
            await asyncio.sleep(0.05)

    async def cancel_running(self, plane: ControlPlane, mission: Mapping[str, Any]) -> None:
        """Dispatch, wait until its processes run, cancel, and look for them."""
        requester = Requester(by=By(kind=Actor.OPERATOR, name="demo", reason="the demo shows how to stop one"))
        envelope = {"vp_id": LANE, "mission_type": "coding", "objective": "Take long", "idempotency_key": "demo-long"}
        dispatched = await plane.missions.dispatch({**envelope, **mission}, requester)
        mission_id = dispatched.mission.row.mission_id
        noted = self.data / "lanes" / LANE / "artifacts" / mission_id / "processes.txt"
        end = time.monotonic() + PATIENCE
        while not (noted.exists() and len(noted.read_text().split()) == 2):
            if time.monotonic() > end:
                raise SystemExit("the mission's processes did not start")
            await asyncio.sleep(0.05)
        processes = [int(text) for text in noted.read_text().split()]
        self.say(f"Running as process {processes[0]} with child {processes[1]}; now it is cancelled.")
        await plane.missions.cancel(mission_id, requester)
        part = await plane.missions.ledger(mission_id, requester)
        while not part.terminal:
            part = await plane.missions.ledger(mission_id, requester, after=part.last_sequence, wait=PATIENCE)
        alive = [pid for pid in processes if _alive(pid)]
        if alive:
            raise SystemExit(f"still running: {alive}")
        await self.show_ledger(plane, mission_id, only="vp.mission.cancelled")
        self.say(f"Processes {processes[0]} and {processes[1]} are gone.")

    # -- the terminal

    def heading(self, text: str) -> None:
        """A new part of the story."""
        self.console.print(f"\n[bold cyan]{text}[/bold cyan]")

    def say(self, text: str) -> None:
        """One sentence."""
        self.console.print(text, markup=False)

    def same(self, what: str, first: str, second: str) -> None:
        """Insist that something has not changed."""
        if first != second:
            raise SystemExit(f"the {what} changed: {first} -> {second}")
        self.say(f"Same {what} as before the restart: {first}")

    def show_failing_test(self) -> None:
        """The repository's own tests, before anything is done."""
        self.heading("0. A repository with a failing test")
        ran = subprocess.run(TESTS, cwd=self.repository, capture_output=True, text=True, check=False)
        if ran.returncode == 0:
            raise SystemExit("the test that should fail passes")
        self.say("\n".join(line for line in ran.stderr.splitlines() if "..." in line or "FAILED" in line))

    def show_report(self, record: Mapping[str, Any]) -> None:
        """Diff summary, test results, artifact paths."""
        folder = self.data / "lanes" / LANE / "artifacts" / record["mission_id"]
        report = json.loads((folder / "report.json").read_text())
        diff, tests = report["diff"], report["tests"]
        self.say(f"Diff:      {diff['files_changed']} file(s), +{diff['insertions']} -{diff['deletions']}")
        self.say(f"Tests:     {'passed' if tests['passed'] else 'failed'} ({tests['last_lines'][-1]})")
        self.say(f"Next step: {record['last_event']['recommended_next_action']}")
        self.say(f"Artifacts: {', '.join(str(path) for path in sorted(folder.rglob('*')) if path.is_file())}")
        if record["state"] != "completed" or not tests["passed"]:
            raise SystemExit("the mission did not come out as promised")

    async def show(self, event: Any) -> Any:
        """One event of a delegated turn, and the event itself."""
        if isinstance(event, TurnEvent):
            document = event.as_document()
            entry = document.get("event", {})
            text = document.get("message") or entry.get("summary") or entry.get("type", "")
            self.say(f"  {document['type']:32} {text}")
        else:
            self.say(f"  {'(primary path)':32} {event}")
        return event

    async def show_ledger(self, plane: ControlPlane, mission_id: str, *, only: str) -> None:
        """The ledger's entries of one type; there must be one."""
        requester = Requester(by=By(kind=Actor.OPERATOR, name="demo"))
        part = await plane.missions.ledger(mission_id, requester)
        found = [entry for entry in part.events if entry["type"] == only]
        if len(found) != 1:
            raise SystemExit(f"{len(found)} entries of {only} in the ledger of {mission_id}")
        entry = found[0]
        shown = {
            name: entry[name] for name in ("sequence", "type", "status", "fallback", "reason_code") if name in entry
        }
        self.say(f"In the ledger: {json.dumps(shown)}")

    def show_snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """The part of the snapshot that fits a terminal."""
        names = ("mission_counts", "fallback", "latency_seconds", "session_health", "delegated")
        session = snapshot["session"]
        self.console.print_json(json.dumps({name: snapshot[name] for name in names}))
        self.say(f"Session {session['vp_session_id']} is {session['status']}, workspace {session['workspace']}")

    def where_next(self) -> None:
        """Where to look next."""
        self.heading("Where to look next")
        self.say("  make dev                      the same lane behind an API and a command line, to try yourself")
        self.say("  docs/quickstart.md            from here to your own repository in ten minutes")
        self.say(f"  {self.folder}/fix.json               the envelope of the first mission")
        self.say(f"  {self.data}/lanes/{LANE}/   the lane's workspace, artifacts and receipts")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
