"""Ledgers over HTTP: verified a page at a time, archived on request, and what is said of what was archived."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dragancorp.clock import SystemClock
from dragancorp.control_plane import ControlPlane
from dragancorp.faces import asgi

from .conftest import LANES, OTHER, READER, Api, assert_problem, envelope, serving, tokens

pytestmark = pytest.mark.anyio
LEDGER = "/api/v1/ops/ledger"


class JumpingClock(SystemClock):
    """The machine's clock, set forward on the wall."""

    ahead = timedelta()

    def wall(self) -> datetime:
        return super().wall() + self.ahead


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
async def quiet(anyio_backend: str, tmp_path: Path, clock: JumpingClock) -> AsyncIterator[Api]:
    """A plane whose lanes nobody serves, with a clock of its own."""
    url = f"sqlite:///{tmp_path}/state.db"
    async with (
        await ControlPlane.open(url, lanes=LANES, clock=clock, serve_lanes=False) as plane,
        serving(asgi(plane, tokens=tokens())) as at,
    ):
        api = Api(plane, at)
        async with api.http:
            yield api


async def cancelled(api: Api) -> str:
    mission_id = str((await api.dispatch(vp_id=OTHER)).json()["mission_id"])
    assert (await api.call("POST", f"/api/v1/missions/{mission_id}/cancel", json={})).status_code == 200
    return mission_id


async def test_pages_of_a_verification_cover_every_mission_once_and_lanes_with_the_first(quiet: Api) -> None:
    for _ in range(5):
        await cancelled(quiet)
    pages, after = [], 0
    while after is not None:
        page = (await quiet.call("GET", LEDGER, params={"after": after, "limit": 2})).json()
        pages.append(page)
        after = page["next_after"]
    assert [page["missions"] for page in pages] == [2, 2, 1]
    assert [page["sessions"] for page in pages] == [2, 0, 0]
    assert [page["findings"] for page in pages] == [[], [], []]


async def test_one_mission_is_verified_alone_and_an_unknown_one_is_said_to_be(quiet: Api) -> None:
    mission_id = await cancelled(quiet)
    await cancelled(quiet)
    report = (await quiet.call("GET", LEDGER, params={"mission_id": mission_id})).json()
    assert report == {"missions": 1, "sessions": 0, "entries": 2, "findings": [], "next_after": None}
    assert_problem(await quiet.call("GET", LEDGER, params={"mission_id": "m-never"}), 404, "mission_unknown")
    assert_problem(await quiet.call("GET", LEDGER, token=READER), 403, "scope_missing")


async def test_what_is_archived_on_request_is_gone_from_every_address_but_its_place_is_known(
    quiet: Api, clock: JumpingClock, tmp_path: Path
) -> None:
    mission_id = await cancelled(quiet)
    clock.ahead = timedelta(days=31)
    young = await cancelled(quiet)
    short = await quiet.call("POST", f"{LEDGER}/archive", json={"older_than_days": 29})
    assert_problem(short, 422, "document_invalid")

    done = (await quiet.call("POST", f"{LEDGER}/archive", json={"older_than_days": 30})).json()

    assert (done["missions"], done["entries"], done["more"]) == (1, 2, False)
    assert Path(done["archive"]).parent == tmp_path / "archive"
    of_mission = f"/api/v1/missions/{mission_id}"
    for path in (of_mission, f"{of_mission}/why", f"{of_mission}/artifacts"):
        problem = assert_problem(await quiet.call("GET", path), 410, "mission_archived")
        assert problem["facts"]["archive"] == Path(done["archive"]).name
    for path in (f"{of_mission}/events", f"{of_mission}/events/stream"):
        assert_problem(await quiet.call("GET", path), 410, "events_gone")
    for action in ("cancel", "retry"):
        assert_problem(await quiet.call("POST", f"{of_mission}/{action}", json={}), 410, "mission_archived")
    taken = await quiet.call("POST", "/api/v1/missions", json=envelope(mission_id=mission_id))
    assert_problem(taken, 422, "document_invalid")
    assert (await quiet.call("GET", f"/api/v1/missions/{young}")).status_code == 200
    assert (await quiet.call("GET", LEDGER)).json()["findings"] == []
