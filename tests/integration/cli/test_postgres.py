"""Two control planes as processes on one PostgreSQL."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

TTL, BEAT = 3.0, 0.5  # of the lane
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
LANE = "vp.coder.primary"


def caller(plane: Any) -> httpx.Client:
    token = json.loads(plane.file.read_text())["token"]
    return httpx.Client(base_url=f"{plane.url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)


def dispatched(through: httpx.Client, key: str, run: list[str]) -> str:
    envelope = {
        "vp_id": LANE,
        "mission_type": "automation",
        "objective": "work",
        "idempotency_key": key,
        "extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": run}]}}],
    }
    answer = through.post("/missions", json=envelope)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["mission_id"])


def test_kill_9_of_one_of_two_planes_in_the_middle_of_a_mission_and_it_ends_once(
    start_plane: Any, wait_until: Any, folder: Path, postgres_url: str
) -> None:
    mark = folder / "mark"
    homes = [folder / name for name in ("first", "second")]
    for home in homes:
        home.mkdir()
        (home / "lanes.yaml").write_text((folder / "lanes.yaml").read_text())

    first = start_plane(at=homes[0], UA_RUNTIME_DB_URL=postgres_url)
    with caller(first) as through_first:
        work = f"echo here >> {mark}; test $(grep -c here {mark}) -gt 1 || sleep 300"
        long = dispatched(through_first, "long", ["sh", "-c", work])
        wait_until(mark.exists)
    with caller(start_plane(at=homes[1], UA_RUNTIME_DB_URL=postgres_url)) as through_second:
        following = dispatched(through_second, "following", ["echo", "next"])
        killed_at = datetime.now(UTC)
        first.kill()
        for mission_id in (long, following):
            wait_until(lambda: through_second.get(f"/missions/{mission_id}").json()["state"] == "completed")  # noqa: B023
        events = through_second.get(f"/missions/{long}/events").json()["events"]

    assert mark.read_text() == "here\nhere\n"
    kinds = [event["type"].removeprefix("vp.mission.") for event in events]
    assert [kind for kind in kinds if kind not in ("progress", "artifact")] == [
        "dispatched",
        "accepted",
        "requeued",
        "accepted",
        "completed",
    ]
    lost = next(event for event in events if event["type"] == "vp.mission.requeued")
    waited = (datetime.fromisoformat(lost["emitted_at"]) - killed_at).total_seconds()
    assert waited > TTL - BEAT - 0.1  # not before a whole TTL without a beat
    assert not (homes[1] / ".dragan" / "state.db").exists()
