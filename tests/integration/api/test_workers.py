"""What workers ask for over HTTP: one holder at a time, nothing late, all repeatable, files as they are named."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragancorp.control_plane import ControlPlane
from dragancorp.faces import asgi
from dragancorp.registry.queries import ListArtifacts
from dragancorp.tokens_file import Token, TokenBook, digest_of, operator_token, worker_token

from .conftest import CODER, OPERATOR, OTHER, Api, assert_problem, serving

pytestmark = pytest.mark.anyio
WORKER, ANOTHERS = "worker-secret", "secret-of-another-lane"
LANES = [
    {
        "vp_id": CODER,
        "executor": {"type": "automation", "allow": ["echo"]},
        "parallel_missions": 2,
        "workspace": {"scope": "mission"},
    },
    {"vp_id": OTHER, "executor": {"type": "automation", "allow": ["echo"]}},
]
LEASE = f"/api/v1/vp/sessions/{CODER}/lease"


class Worker:
    """What a worker says; every answer is judged by the operations document."""

    def __init__(self, api: Api, proof: dict[str, Any]) -> None:
        self.api = api
        self.proof = proof

    async def renew(self, **said: Any) -> httpx.Response:
        return await self.api.call("PUT", LEASE, token=WORKER, json=self.proof | said)

    async def release(self) -> httpx.Response:
        return await self.api.call("DELETE", LEASE, token=WORKER, params=self.proof)

    async def claim(self, key: str, **asked: Any) -> list[dict[str, Any]]:
        body = self.proof | {"idempotency_key": key} | asked
        answer = await self.api.call("POST", f"/api/v1/vp/sessions/{CODER}/claim", token=WORKER, json=body)
        assert answer.status_code == 200, answer.text
        missions: list[dict[str, Any]] = answer.json()["missions"]
        return missions

    async def report(self, mission: dict[str, Any], trigger: str, key: str, **said: Any) -> httpx.Response:
        body = self.proof | {"attempt": mission["attempt"], "trigger": trigger, "idempotency_key": key} | said
        return await self.api.call("POST", f"/api/v1/missions/{mission['mission_id']}/events", token=WORKER, json=body)

    async def upload(self, mission: dict[str, Any], name: str, content: bytes, **other: Any) -> httpx.Response:
        where = self.proof | {"attempt": mission["attempt"], "name": name, "sha256": digest(content)} | other
        return await self.api.call(
            "PUT",
            f"/api/v1/missions/{mission['mission_id']}/artifacts",
            token=WORKER,
            params=where,
            content=content,
            headers={"Content-Type": "application/octet-stream"},
        )


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def reference(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "sha256": digest(content), "size_bytes": len(content)}


@pytest.fixture
async def api(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A plane whose lanes nobody serves."""
    another = Token(
        name="another", sha256=digest_of(ANOTHERS), scopes=frozenset({"lanes:run"}), vp_ids=frozenset({OTHER})
    )
    book = TokenBook([operator_token(OPERATOR), worker_token(WORKER), another])
    database = f"sqlite:///{tmp_path}/state.db"
    async with await ControlPlane.open(database, lanes=LANES, serve_lanes=False) as plane:
        async with serving(asgi(plane, tokens=book)) as url:
            api = Api(plane, url)
            async with api.http:
                yield api


async def acquired(api: Api, owner: str = "o-1") -> httpx.Response:
    asked = {"lease_owner": owner, "vp_runtime_id": "r-1"}
    return await api.call("POST", LEASE, token=WORKER, json=asked)


@pytest.fixture
async def worker(api: Api) -> Worker:
    """A worker that holds the lease, ready to claim."""
    session = (await acquired(api)).json()["session"]
    worker = Worker(api, {"lease_owner": "o-1", "lease_epoch": session["lease_epoch"]})
    ready = {"ready": {"executor_session_id": "e-1", "outcome": "opened", "workspace": "/w"}}
    assert (await worker.renew(says=ready)).json()["session"]["status"] == "active"
    return worker


async def test_one_holds_the_lease_and_finds_it_again_when_its_answer_was_lost(api: Api) -> None:
    first = await acquired(api)
    assert (first.status_code, first.json()["policy"]["parallel_missions"]) == (201, 2)
    again = await acquired(api)
    assert again.json()["session"]["lease_epoch"] == first.json()["session"]["lease_epoch"]
    assert_problem(await acquired(api, "o-2"), 409, "lease_held")
    worker = Worker(api, {"lease_owner": "o-1", "lease_epoch": first.json()["session"]["lease_epoch"]})
    assert (await worker.release()).status_code == 200
    assert_problem(await worker.renew(), 409, "stale_epoch")
    assert (await acquired(api, "o-2")).json()["session"]["lease_epoch"] > worker.proof["lease_epoch"]


async def test_who_may_not_run_the_lane_learns_nothing_of_it(api: Api) -> None:
    asked = {"lease_owner": "o-1", "vp_runtime_id": "r-1"}
    assert_problem(await api.call("POST", LEASE, token=OPERATOR, json=asked), 403, "scope_missing")
    assert_problem(await api.call("POST", LEASE, token=ANOTHERS, json=asked), 404, "lane_unknown")
    mission_id = (await api.dispatch()).json()["mission_id"]
    said = {"lease_owner": "o", "lease_epoch": 1, "attempt": 1, "trigger": "fail", "idempotency_key": "k"}
    where = f"/api/v1/missions/{mission_id}/events"
    assert_problem(await api.call("POST", where, token=ANOTHERS, json=said), 404, "mission_unknown")


async def test_a_holder_says_what_became_of_it(worker: Worker) -> None:
    degraded = (await worker.renew(says={"degraded": {"error": "no disk"}})).json()["session"]
    assert (degraded["status"], degraded["last_error"]) == ("degraded", "no disk")
    assert (await worker.renew(says={"recovered": {}})).json()["session"]["status"] == "active"
    both = {"recovered": {}, "degraded": {"error": "x"}}
    assert_problem(await worker.renew(says=both), 422, "document_invalid")


async def test_a_claim_whose_answer_was_lost_gives_the_same_missions_again(api: Api, worker: Worker) -> None:
    for _ in range(3):
        await api.dispatch()
    first = await worker.claim("c-1")
    assert await worker.claim("c-1") == first
    assert [one["mission_id"] for one in await worker.claim("c-2")] != [one["mission_id"] for one in first]
    assert await worker.claim("c-3") == []  # both slots are taken
    assert_problem(await worker.release(), 409, "lane_busy")


async def test_a_mission_in_a_contract_that_the_worker_cannot_read_is_not_given_to_it(api: Api, worker: Worker) -> None:
    await api.dispatch()
    assert await worker.claim("c-1", reads=["mission-envelope/v9"]) == []
    assert len(await worker.claim("c-2", reads=["mission-envelope/v9", "mission-envelope/v1"])) == 1


async def test_a_waiting_claim_is_answered_by_the_next_dispatch(api: Api, worker: Worker) -> None:
    waiting = asyncio.create_task(worker.claim("c-1", wait=20))
    await asyncio.sleep(0.2)
    mission_id = (await api.dispatch()).json()["mission_id"]
    async with asyncio.timeout(10):
        assert [one["mission_id"] for one in await waiting] == [mission_id]


async def test_a_waiting_renewal_is_answered_by_a_cancel(api: Api, worker: Worker) -> None:
    await api.dispatch()
    [mission] = await worker.claim("c-1")
    seen = (await worker.renew()).json()["mark"]
    assert (await worker.renew(seen=seen, wait=0.1)).json()["mark"] == seen
    waiting = asyncio.create_task(worker.renew(seen=seen, wait=20))
    await asyncio.sleep(0.2)
    await api.call("POST", f"/api/v1/missions/{mission['mission_id']}/cancel")
    async with asyncio.timeout(10):
        [held] = (await waiting).json()["held"]
    assert (held["mission_id"], held["cancel_asked"]) == (mission["mission_id"], True)


async def test_who_waits_keeps_no_lease_alive(api: Api, worker: Worker) -> None:
    seen = (await worker.renew()).json()["mark"]
    waiting = asyncio.create_task(worker.renew(seen=seen, wait=1.5))
    await asyncio.sleep(0.2)
    beat = (await api.call("GET", f"/api/v1/vp/sessions/{CODER}")).json()["beat"]
    for _ in range(3):
        await api.dispatch()  # wakes whoever waits
    await waiting
    assert (await api.call("GET", f"/api/v1/vp/sessions/{CODER}")).json()["beat"] == beat


async def test_a_report_is_refused_unless_attempt_epoch_and_owner_are_the_present_ones(
    api: Api, worker: Worker
) -> None:
    await api.dispatch()
    [mission] = await worker.claim("c-1")
    late = mission | {"attempt": 2}
    assert_problem(await worker.report(late, "report", "k-1", content={"summary": "x"}), 409, "stale_epoch")
    for wrong in ({"lease_epoch": 99}, {"lease_owner": "o-2"}):
        refused = await worker.report(mission, "report", "k-1", content={"summary": "x"}, **wrong)
        assert_problem(refused, 409, "stale_epoch")
    taken = (await worker.report(mission, "report", "k-1", content={"summary": "x"})).json()
    assert (taken["state"], taken["replayed"], taken["claimed"]) == ("running", False, [])
    assert (await worker.report(mission, "report", "k-1", content={"summary": "x"})).json()["replayed"] is True
    assert_problem(await worker.report(mission, "report", "k-1", content={"summary": "y"}), 422, "event_key_reused")
    assert_problem(await worker.report(mission, "report", "k-2", content={"summary": 5}), 422, "document_invalid")
    assert_problem(await worker.report(mission, "complete", "k-3"), 409, "receipt_missing")


async def test_the_end_of_one_mission_and_the_claim_of_the_next_are_repeated_together(api: Api, worker: Worker) -> None:
    for _ in range(3):
        await api.dispatch()
    [mission] = await worker.claim("c-1")
    end = {"receipt": {"outcome": "completed"}, "claim_next": {"limit": 1}}
    first = (await worker.report(mission, "complete", "k-1", **end)).json()
    again = (await worker.report(mission, "complete", "k-1", **end)).json()
    assert (first["state"], again["replayed"]) == ("completed", True)
    assert first["claimed"] == again["claimed"]
    assert len(first["claimed"]) == 1


async def test_a_file_is_stored_whole_under_its_name_and_a_report_names_only_such(
    api: Api, worker: Worker, tmp_path: Path
) -> None:
    await api.dispatch()
    [mission] = await worker.claim("c-1")
    content = b"\x00\xff what was found"
    named = reference("logs/run.bin", content)
    early = await worker.report(mission, "report", "k-1", content={"artifact_refs": [named]}, artifacts=[named])
    assert assert_problem(early, 409, "receipt_missing")["facts"]["missing"] == ["logs/run.bin"]
    wrong = await worker.upload(mission, "logs/run.bin", content, sha256=digest(b"other"))
    assert_problem(wrong, 422, "document_invalid")
    stored = await worker.upload(mission, "logs/run.bin", content)
    assert stored.json() | named == stored.json()
    folder = tmp_path / "lanes" / CODER / "artifacts" / mission["mission_id"]
    assert await asyncio.to_thread((folder / "logs" / "run.bin").read_bytes) == content
    assert (await worker.upload(mission, "logs/run.bin", content)).status_code == 200
    end = await worker.report(mission, "complete", "k-2", artifacts=[named], receipt={"outcome": "completed"})
    assert end.json()["state"] == "completed"
    found = await api.plane.store.read(ListArtifacts(mission_id=mission["mission_id"]))
    assert [dict(one) for one in found] == [named]
    assert_problem(await worker.upload(mission, "late", b"x"), 409, "mission_terminal")
    assert [path.name for path in folder.parent.iterdir()] == [mission["mission_id"]]  # nothing unfinished is left


async def test_a_file_cannot_leave_its_folder(api: Api, worker: Worker, tmp_path: Path) -> None:
    await api.dispatch()
    [mission] = await worker.claim("c-1")
    for name in ("../up", "/etc/passwd", "a/../../b", ""):
        assert_problem(await worker.upload(mission, name, b"x"), 400, "parameter_invalid")
    await worker.upload(mission, "first", b"x")
    folder = tmp_path / "lanes" / CODER / "artifacts" / mission["mission_id"]
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    assert_problem(await worker.upload(mission, "link/x", b"x"), 503, "workspace_unusable")
    assert list(outside.iterdir()) == []
    (folder / "target").symlink_to(outside / "file")
    assert (await worker.upload(mission, "target", b"x")).status_code == 200  # the link is replaced, not followed
    assert list(outside.iterdir()) == []
    assert_problem(await worker.upload(mission | {"attempt": 7}, "first", b"x"), 409, "stale_epoch")


async def test_a_body_that_is_no_file_is_refused(api: Api, worker: Worker) -> None:
    await api.dispatch()
    [mission] = await worker.claim("c-1")
    where = worker.proof | {"attempt": 1, "name": "x", "sha256": digest(b"{}")}
    path = f"/api/v1/missions/{mission['mission_id']}/artifacts"
    assert_problem(await api.call("PUT", path, token=WORKER, params=where, json={}), 415, "media_type_unsupported")
