"""The product's main job on real input: `make demo`.

    python docs/demo            tell the whole story, in .demo/
    python docs/demo prepare    only make the repository and the lanes file there

A git repository with a failing test is given to CODIE (`vp.coder.primary`) as a coding mission. Everything here is
real: processes, repository, database. No model and no credential is needed; the lane's executor is `automation`.
"""

import asyncio
import sys
import time
from pathlib import Path

from stage import Stage

from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent

FOLDER = Path(".demo")


def main() -> int:
    """Tell the story; 0 when every part of it came out as promised."""
    stage = Stage(FOLDER)
    if sys.argv[1:] == ["prepare"]:
        stage.prepare(keep=True)
        return 0
    began = time.monotonic()
    stage.prepare(keep=False)
    stage.show_failing_test()
    first = first_mission(stage)
    second = second_mission(stage)
    stage.same("session", first["vp_session_id"], second["vp_session_id"])
    stage.same("continuity", first["continuity_id"], second["continuity_id"])
    asyncio.run(as_gateway(stage))
    stage.say(f"Done in {time.monotonic() - began:.0f} s.")
    stage.where_next()
    return 0


def first_mission(stage: Stage) -> dict[str, str]:
    """A coding mission: change, test, report."""
    stage.heading("1. A coding mission for CODIE")
    stage.envelope("fix", objective="Make slug() survive punctuation", patch="fix.patch")
    with stage.control_plane():
        stage.dispatch_and_watch("fix")
        record = stage.mission("fix")
        stage.show_report(record)
        stage.say("The control plane is stopped now, and started again.")
    return record


def second_mission(stage: Stage) -> dict[str, str]:
    """After a restart: the same session, the same workspace, on top of the first change."""
    stage.heading("2. After a restart, in the same session and workspace")
    stage.envelope("extend", objective="Cut long slugs at a word", patch="extend.patch")
    with stage.control_plane():
        stage.dispatch_and_watch("extend")
        record = stage.mission("extend")
        stage.show_report(record)
    return record


async def as_gateway(stage: Stage) -> None:
    """Delegation as a gateway does it: the primary path answers what the lane cannot."""
    from dragancorp.control_plane import ControlPlane
    from dragancorp.gateway.turns import Turn

    async def code_writer(turn: Turn):
        yield "Here is the answer of the primary path (code-writer)."

    url = f"sqlite:///{stage.database}"
    async with await ControlPlane.open(url, lanes=stage.lanes, data=stage.data) as plane:
        await stage.until_active(plane)
        stage.heading("3. A lane whose agent crashes: the primary path answers")
        crash = Turn(text="CODIE, improve the slug module", session_id="demo", mission=stage.steps("tools/crash.py"))
        seen = [await stage.show(event) async for event in plane.delegate(crash, primary=code_writer)]
        delegated = next(event for event in seen if isinstance(event, TurnEvent))
        await stage.show_ledger(plane, str(delegated.mission_id), only="vp.mission.fallback")

        stage.heading("4. A running mission is cancelled, and its processes are gone")
        await stage.cancel_running(plane, stage.steps("tools/long_work.py"))

        stage.heading("5. The metrics snapshot")
        stage.show_snapshot(await plane.snapshot("vp.coder.primary"))


if __name__ == "__main__":
    sys.exit(main())
