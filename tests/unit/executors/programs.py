"""Running one mission by one small program, under a real guard, in a real folder."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragancorp.clock import SystemClock
from dragancorp.executors.catalogue import make_executor
from dragancorp.executors.protocol import Executor, MissionContext, ProcessRunner
from dragancorp.executors.workspace import Workspace
from dragancorp_contracts import judge

Events = list[dict[str, Any]]
ENVELOPE = {
    "vp_id": "vp.coder.primary",
    "mission_type": "coding",
    "objective": "Mend the parser.",
    "idempotency_key": "k",
}


def envelope(**members: Any) -> dict[str, Any]:
    """A mission's envelope."""
    return {**ENVELOPE, **members}


@dataclass
class Lane:
    """An executor with a workspace; `script` writes a program into the folder beside it."""

    workspace: Workspace
    processes: ProcessRunner

    def script(self, text: str, name: str = "agent") -> str:
        """The path of an executable shell script."""
        path = self.workspace.path.parent / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    def executor(self, *command: str, kind: str = "process", **config: Any) -> Executor:
        """The executor of a lane with this command."""
        return make_executor({"type": kind, "command": list(command), "cancel_grace_seconds": 0.3, **config})

    def context(self, mission_id: str = "m-1", **more: Any) -> MissionContext:
        artifacts = self.workspace.artifacts_dir(mission_id)
        given: dict[str, Any] = {
            "mission_id": mission_id,
            "attempt": 1,
            "lease_epoch": 1,
            "resume": False,
            "workspace": self.workspace.path,
            "artifacts": artifacts,
            "processes": self.processes,
            "clock": SystemClock(),
            "environment": {"DRAGAN_MISSION_ID": mission_id, "DRAGAN_ARTIFACTS": str(artifacts)},
        }
        return MissionContext(**{**given, **more})

    async def run(
        self,
        executor: Executor,
        mission: Mapping[str, Any] = ENVELOPE,
        *,
        on_event: Callable[[dict[str, Any]], Any] | None = None,
    ) -> Events:
        """Every event of a run, each judged; `on_event` hears them as they come."""
        events: Events = []
        async with asyncio.timeout(60):
            async for event in executor.run(mission, self.context()):
                assert judge.violations("executor-events", json.loads(json.dumps(event))) == []
                events.append(dict(event))
                if on_event is not None:
                    await on_event(events[-1])
        return events

    def log(self) -> str:
        """What the program printed, as its log has it."""
        path = Path(self.workspace.artifacts_dir("m-1")) / "logs" / "output.log"
        return path.read_text(encoding="utf-8", errors="replace")


def of_type(events: Events, kind: str) -> Events:
    """The events of one type."""
    return [event for event in events if event["type"] == kind]
