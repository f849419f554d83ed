"""What the contracts cost: reading an envelope, generating the code, importing the package. Run by `make bench`.

Every figure is a ratio, or a time, taken in this run on this machine; the best of several rounds, so that a busy
neighbour does not count. The exit code is 1 when a target is missed.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from pydantic import ConfigDict, create_model
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from dragancorp_contracts import resources
from dragancorp_contracts.models.mission_envelope_v1 import MissionEnvelope

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 400  # short ones: some fall between what else this machine does
ENVELOPE: dict[str, Any] = {
    "vp_id": "vp.coder.primary",
    "mission_type": "coding",
    "objective": "Make the parser accept empty files, with a test that fails before and passes after. " * 4,
    "constraints": {"allowed_tools": ["git", "pytest"], "forbidden_tools": ["push"], "approval_required": ["deploy"]},
    "budget": {"max_runtime_minutes": 30, "max_llm_calls": 200, "max_cost_usd": 2.5},
    "autonomy_window": {"start_at": "2026-11-22T09:30:00Z", "end_at": "2026-11-22T18:30:00Z"},
    "priority_class": "interactive",
    "heartbeat_interval_seconds": 300,
    "report_cadence": "hybrid",
    "success_criteria": ["the test suite passes", "an empty file gives an empty document", "no other file is touched"],
    "artifact_policy": {"required_outputs": ["diff.patch", "report.md"], "storage_scope": "shared"},
    "traffic": "real",
    "idempotency_key": "simone-s1-turn-42",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "created_at": "2026-11-22T09:30:00.120Z",
}  # fmt: skip


BARE = create_model(
    "Bare",
    __config__=ConfigDict(extra="forbid", frozen=True),
    **{name: (field.annotation, field) for name, field in MissionEnvelope.model_fields.items()},  # type: ignore[call-overload]
)
"""The members of the envelope as pydantic alone reads them: no strict reading, no judge, no bounds."""


def best(work: Callable[[], object], times: int) -> float:
    """Seconds for one call, in the best round."""
    return min(timeit.repeat(work, number=times, repeat=ROUNDS)) / times


def command(*arguments: str, rounds: int = 3) -> float:
    """Seconds for a whole process, in the best round."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=ROOT)
        found.append(time.perf_counter() - started)
    return min(found)


def reading() -> list[tuple[str, float, float]]:
    """An envelope as text, read: judged and parsed by us, parsed by pydantic, judged by jsonschema."""
    text = json.dumps(ENVELOPE)
    schemas = [
        (resources.address(f"{name}/v1"), resources.read_document(name)) for name in ("common", "mission-envelope")
    ]
    registry: Any = Registry().with_resources((at, DRAFT202012.create_resource(one)) for at, one in schemas)
    validator = Draft202012Validator(schemas[1][1], registry=registry)
    assert validator.is_valid(json.loads(text))
    ours = best(lambda: MissionEnvelope.from_json(text), 10)
    bare = best(lambda: BARE.model_validate_json(text), 10)
    slow = best(lambda: validator.is_valid(json.loads(text)), 1)
    times = [
        f"{name} {seconds * 1e6:.1f} us" for name, seconds in (("ours", ours), ("bare", bare), ("jsonschema", slow))
    ]
    print(f"envelope of {len(text)} bytes: {', '.join(times)}")
    return [
        ("envelope: ours / bare pydantic", ours / bare, 5.0),
        ("envelope: ours / jsonschema", ours / slow, 0.1),
    ]


def generating() -> list[tuple[str, float, float]]:
    """The generator, each time in a process of its own, with the start of Python in it."""
    run = ("-m", "dragancorp.codegen", "--specs", "specs")
    checked = command(*run, "--out", "generated/dragancorp_contracts", "--docs", "docs/reference", "--check")
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        command(*run, "--out", f"{scratch}/package", "--docs", f"{scratch}/pages", rounds=1)
        whole = time.perf_counter() - started
        shutil.rmtree(f"{scratch}/package")
    imported = command("-c", "import dragancorp_contracts") - command("-c", "pass")
    loaded = command("-c", "import dragancorp_contracts.models.mission_envelope_v1") - command("-c", "pass")
    print(f"import of one model with its judge: {loaded:.2f} s")
    return [
        ("codegen --check, nothing changed (s)", checked, 2.0),
        ("codegen from scratch (s)", whole, 20.0),
        ("import dragancorp_contracts (s)", imported, 0.4),
    ]


def main() -> int:
    """Measure, print the table, say whether every target is met."""
    missed = 0
    lines = [*reading(), *generating()]
    print(f"\n{'what':<40} {'measured':>10} {'target':>10}")
    for name, value, target in lines:
        missed += value > target
        print(f"{name:<40} {value:>10.3f} {'<=':>3} {target:<6g} {'pass' if value <= target else 'FAIL'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
