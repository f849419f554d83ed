"""The agents of the demo: four that do the same work, and those that misbehave. Scripts are for `sh`."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from dragancorp.executors.protocol import MissionContext, ProcessExited

SPEAKS = """
cat > /dev/null
echo '{"type": "tool_started", "tool": "git", "call_id": "1", "message": "mending slug.py"}'
git apply "$(dirname "$0")/fix.patch" && ok=true || ok=false
echo '{"type": "tool_finished", "tool": "git", "call_id": "1", "ok": '$ok'}'
echo '{"type": "usage", "usage": {"llm_calls": 1, "cost_microusd": 4200}}'
if python3 -m unittest >&2; then echo '{"type": "completed", "summary": "mended; the tests pass"}'
else echo '{"type": "failed", "reason_code": "executor_error", "message": "the tests fail"}'; fi
"""
PLAIN = """
echo "asked to: $1"
git apply "$(dirname "$0")/fix.patch" && python3 -m unittest 2>&1 && echo "mended; the tests pass"
"""


async def codie(mission: Mapping[str, Any], context: MissionContext) -> AsyncGenerator[Mapping[str, Any], Any]:
    """The same work as an async generator; its commands run under the lane's guard."""
    patch = str(context.workspace.parent.parent / "fix.patch")
    for words in (["git", "apply", patch], ["python3", "-m", "unittest"]):
        yield {"type": "progress", "message": " ".join(words[:2])}
        running = context.processes.run(
            words, cwd=context.workspace, env={"PATH": "/usr/bin:/bin", **context.environment}
        )
        async with aclosing(running) as happenings:
            async for happening in happenings:
                if isinstance(happening, ProcessExited) and happening.exit_code:
                    yield {"type": "failed", "reason_code": "executor_error", "message": f"{words} failed"}
                    return
    yield {"type": "completed", "summary": "mended; the tests pass"}


@dataclass(frozen=True, kw_only=True)
class Misbehaving:
    """A script that does wrong, the outcome that the runtime promises, and what it did about it."""

    script: str
    outcome: str
    done_about_it: str
    limits: Mapping[str, Any] = field(default_factory=dict)


MISBEHAVING = {
    "hangs": Misbehaving(
        script="exec sleep 300",
        limits={"idle_limit": 1},
        outcome="failed idle_timeout",
        done_about_it="ended after a second of silence",
    ),
    "never-ends": Misbehaving(
        script="""while :; do echo '{"type": "progress", "message": "still at it"}'; sleep 0.5; done""",
        limits={"backstop": 1},
        outcome="timed_out backstop_reached",
        done_about_it="ended by the backstop, whatever it says",
    ),
    "crashes": Misbehaving(
        script="kill -SEGV $$", outcome="failed executor_crashed", done_about_it="the signal is on record"
    ),
    "contradicts": Misbehaving(
        script="""echo '{"type": "completed", "summary": "all fine"}'; exit 1""",
        outcome="failed executor_error",
        done_about_it="its word and its exit code differ, so it failed",
    ),
    "floods": Misbehaving(
        script="seq 1 100000", outcome="completed", done_about_it="all lines are in the log, 200 were said"
    ),
    "lies": Misbehaving(
        script="""echo '{"type": "usage", "usage": {"cost_microusd": -5000000}}'""",
        outcome="completed",
        done_about_it="a cost below nothing is no event; the log says why",
    ),
    "asks": Misbehaving(
        script="""echo '{"type": "input_wanted", "request_id": "1", "message": "which branch?"}'; sleep 300""",
        outcome="failed constraint_refused",
        done_about_it="nobody can answer it, so it was ended",
    ),
    "leaves-a-child": Misbehaving(
        script="sleep 300 & exit 0", outcome="completed", done_about_it="the child was ended with its program"
    ),
}
