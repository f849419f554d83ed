"""A worker's daily life: the order of missions, one workspace, the heartbeat, draining, and an idle lane."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dragancorp.executors.protocol import SessionContext
from dragancorp.lanes import lane_runtime
from dragancorp.registry.port import Store
from dragancorp_contracts.lifecycle import MissionState, ReasonCode, SessionState, SessionTrigger

from .house import House, Scripted, both_links, eventually, gone, guards

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["postgresql", "sqlite"])
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set-up that failed is tried again soon."""
    monkeypatch.setattr(lane_runtime, "FIRST_SETUP_PAUSE_SECONDS", 0.3)


@both_links
async def test_missions_run_in_the_schedulers_order_in_one_workspace(house: House, tmp_path: Path) -> None:
    await house.configure()
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()

    def write(name: str) -> list[str]:
        return ["sh", "-c", f"echo {name} >> order.txt"]

    wanted = [
        ("later", {"priority_class": "deadline", "deadline_at": later}),
        ("background", {"priority_class": "background"}),
        ("first asked", {"priority_class": "interactive"}),
        ("soon", {"priority_class": "deadline", "deadline_at": soon}),
        ("second asked", {"priority_class": "interactive"}),
    ]
    missions = [await house.dispatch(write(name), **members) for name, members in wanted]
    await house.serve()
    for mission_id in missions:
        assert (await house.ended(mission_id)).state is MissionState.COMPLETED
    order = (tmp_path / "lane" / "workspace" / "order.txt").read_text().splitlines()
    assert order == ["first asked", "second asked", "soon", "later", "background"]


@both_links
async def test_a_set_up_slower_than_the_lease_does_not_lose_it(house: House) -> None:
    async def slowly(session: SessionContext) -> None:
        await asyncio.sleep(2.2)

    await house.serve(Scripted(opening=slowly), lease_ttl=1.5)
    row = await house.session()
    assert row.lease_epoch == 1
    assert await house.session_events() == ["created", "activated", "opened"]
    mission_id = await house.dispatch()
    assert (await house.ended(mission_id)).attempt == 1


@both_links
async def test_a_set_up_that_fails_degrades_the_lane_until_it_is_mended(
    house: House, tmp_path: Path, make_repository: Any
) -> None:
    repository = tmp_path / "repository"
    workspace = {"kind": "worktree", "repository": str(repository)}
    await house.serve(workspace=workspace, wait=False, lease_ttl=60.0)
    mission_id = await house.dispatch(["true"])
    row = await house.session_is(SessionState.DEGRADED)
    assert row.held
    assert "not a git repository" in (row.last_error or "")
    assert (await house.row(mission_id)).state is MissionState.QUEUED
    make_repository(repository)
    row = await house.session_is(SessionState.ACTIVE, opened=True)
    assert row.last_error is None
    assert (await house.ended(mission_id)).state is MissionState.COMPLETED
    assert (await house.session_events())[2:] == ["degraded", "opened", "recovered"]


async def test_an_executor_that_cannot_be_opened_degrades_the_lane_whatever_it_raises(house: House) -> None:
    failures = [ValueError("no model named x")]

    async def failing(session: SessionContext) -> None:
        if failures:
            raise failures.pop(0)

    await house.serve(Scripted(opening=failing), wait=False)
    row = await house.session_is(SessionState.DEGRADED)
    assert row.last_error == "ValueError: no model named x"
    row = await house.session_is(SessionState.ACTIVE)
    assert (row.lease_epoch, row.last_error) == (1, None)


@both_links
async def test_a_paused_lane_claims_nothing_and_resumes(house: House) -> None:
    await house.serve()
    first = await house.dispatch(["sleep", "0.4"])
    await house.working(first)
    await house.operate(SessionTrigger.DRAIN)
    waiting = await house.dispatch(["true"])
    assert (await house.ended(first)).state is MissionState.COMPLETED  # what is held may finish
    assert "drained" in await house.session_events()
    await asyncio.sleep(1.3)  # longer than the worker's own look at the queue
    assert (await house.row(waiting)).state is MissionState.QUEUED
    await house.operate(SessionTrigger.RESUME)
    assert (await house.ended(waiting, 2)).state is MissionState.COMPLETED


@both_links
async def test_a_retired_lane_ends_its_worker(house: House) -> None:
    await house.configure()
    await house.operate(SessionTrigger.RETIRE)
    runtime = await house.serve(wait=False)
    await asyncio.wait_for(house.serving.pop(runtime), 5)


@both_links
async def test_a_lane_that_is_reset_drops_its_work_and_begins_anew(house: House, tmp_path: Path) -> None:
    await house.serve(backoff=0.1)
    mission_id = await house.dispatch(["sh", "-c", "test -e again || { touch again; sleep 20.101; }"])
    await house.working(mission_id)
    await eventually(lambda: asyncio.to_thread((tmp_path / "lane" / "workspace" / "again").exists))
    await house.operate(SessionTrigger.RESET)
    row = await house.ended(mission_id)
    assert (row.state, row.attempt) == (MissionState.COMPLETED, 2)
    assert (await house.session()).lease_epoch >= 3
    await gone("20.101")


async def test_an_idle_lane_writes_only_heartbeats(house: House, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.serve(lease_ttl=2.0)
    asked: Counter[str] = Counter()
    execute = store.execute

    async def counting(operation: Any) -> Any:
        asked[type(operation).__name__] += 1
        return await execute(operation)

    monkeypatch.setattr(store, "execute", counting)
    before = await house.session()
    await asyncio.sleep(2.1)
    assert set(asked) <= {"RenewLease", "ClaimMissions"}
    assert 3 <= asked["RenewLease"] <= 5  # one in half a second
    assert asked["ClaimMissions"] <= 3  # one a second, which finds nothing and writes nothing
    after = await house.session()
    assert 3 <= after.beat - before.beat <= 5
    assert after.last_sequence == before.last_sequence


async def test_one_lane_never_runs_two_missions_at_once(house: House, tmp_path: Path) -> None:
    await house.serve()
    alone = ["sh", "-c", "mkdir busy && sleep 0.05 && rmdir busy"]
    missions = [await house.dispatch(alone) for _ in range(6)]
    for mission_id in missions:
        assert (await house.ended(mission_id)).state is MissionState.COMPLETED
    starts = [(await house.row(one)).started_at for one in missions]
    ends = [(await house.row(one)).finished_at for one in missions]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False) if end and start)


@both_links
async def test_with_a_workspace_each_two_missions_really_run_at_once(house: House, tmp_path: Path) -> None:
    await house.serve(parallel_missions=2, workspace={"scope": "mission"})
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    meet = f"touch {meeting}/$0; while [ $(ls {meeting} | wc -l) -lt 2 ]; do sleep 0.02; done"
    missions = [await house.dispatch(["sh", "-c", meet, name]) for name in ("one", "two")]
    third = await house.dispatch(["true"])
    for mission_id in missions:
        assert (await house.ended(mission_id, 5)).state is MissionState.COMPLETED
    assert (await house.ended(third)).state is MissionState.COMPLETED
    assert sorted(path.name for path in (tmp_path / "lane" / "missions").iterdir()) == sorted([*missions, third])


async def test_a_mission_whose_own_workspace_cannot_be_made_fails_and_the_lane_goes_on(
    house: House, tmp_path: Path
) -> None:
    workspace = {"scope": "mission", "kind": "worktree", "repository": str(tmp_path / "nowhere")}
    await house.serve(workspace=workspace, lease_ttl=30.0)
    for _ in range(2):
        row = await house.ended(await house.dispatch(["true"]), 3)
        assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.EXECUTOR_ERROR)
        assert "not a git repository" in (await house.ledger(row.mission_id))[-1]["summary"]
    assert (await house.session()).lease_epoch == 1


@both_links
async def test_a_required_output_that_is_missing_fails_the_mission_and_the_lane_goes_on(house: House) -> None:
    await house.serve(lease_ttl=30.0)
    missing = await house.dispatch(["true"], artifact_policy={"required_outputs": ["model.bin"]})
    row = await house.ended(missing, 3)
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.OUTPUTS_MISSING)
    assert (await house.ended(await house.dispatch(["true"]), 3)).state is MissionState.COMPLETED


async def test_a_receipt_that_cannot_be_written_fails_the_mission_and_the_lane_goes_on(
    house: House, tmp_path: Path
) -> None:
    await house.serve(lease_ttl=30.0)
    (tmp_path / "lane" / "receipts").write_text("not a folder")
    row = await house.ended(await house.dispatch(["true"]), 3)
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.EXECUTOR_CRASHED)
    (tmp_path / "lane" / "receipts").unlink()
    assert (await house.ended(await house.dispatch(["true"]), 3)).state is MissionState.COMPLETED
    assert (await house.session()).lease_epoch == 1


@both_links
async def test_a_worker_that_is_told_to_stop_is_gone_at_once_when_idle(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_runtime, "CLAIM_PAUSE_SECONDS", 60.0)
    runtime = await house.serve()
    await asyncio.wait_for(house.dismiss(runtime), 10)
    row = await house.session()
    assert (row.status, row.held) == (SessionState.IDLE, False)
    assert guards() == []
