"""The operator's page: signing in, what is shown and how, and deeds that only a form of this very page can do."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from litestar import Litestar

from dragancorp.embedded_plane import EmbeddedPlane
from dragancorp.faces import DragancorpPlugin

from .conftest import BOUND, CODER, LANES, OPERATOR, OTHER, Api, serving, tokens

pytestmark = pytest.mark.anyio
WORD = re.compile(r'name="word" value="([^"]+)"')
PAGES = ("/", f"/lanes/{CODER}", "/missions", f"/rollout/{CODER}", "/recovery")


@asynccontextmanager
async def visitor(api: Api, token: str | None = OPERATOR) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without scripts, signed in by a token."""
    async with httpx.AsyncClient(base_url=api.url, follow_redirects=True, timeout=30) as browser:
        if token is not None:
            answer = await browser.post("/sign-in", data={"token": token})
            assert answer.status_code in (200, 403), answer.text  # signed in, whatever the first page says to it
        yield browser


async def send(browser: httpx.AsyncClient, page: str, form: str, **fields: Any) -> httpx.Response:
    """Send a form of a page as the page has it."""
    word = WORD.search((await browser.get(page)).text)
    assert word is not None
    return await browser.post(form, data={"word": word.group(1), **fields})


async def test_nobody_sees_anything_before_signing_in(api: Api) -> None:
    async with visitor(api, token=None) as browser:
        for page in PAGES:
            answer = await browser.get(page)
            assert str(answer.url).endswith("/sign-in")
            assert CODER not in answer.text
        refused = await browser.post("/sign-in", data={"token": "nonsense"})
        assert refused.status_code == 401
        assert "nonsense" not in refused.text


async def test_the_cookie_is_no_token_and_cannot_be_read_or_sent_from_elsewhere(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.url) as browser:
        answer = await browser.post("/sign-in", data={"token": OPERATOR})
    cookie = answer.headers["set-cookie"]
    assert OPERATOR not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_shows_itself_and_lets_nothing_foreign_in(api: Api, page: str) -> None:
    async with visitor(api) as browser:
        answer = await browser.get(page)
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert " style=" not in answer.text
    assert "<h1>" in answer.text


async def test_signing_out_ends_it(api: Api) -> None:
    async with visitor(api) as browser:
        await browser.post("/sign-out")
        assert str((await browser.get("/")).url).endswith("/sign-in")


async def test_text_of_lanes_and_callers_is_data_on_every_page(api: Api) -> None:
    evil = "<script>alert(1)</script>\x1b[31m\u202e\"'><img src=x onerror=alert(2)>"
    mission_id = (await api.dispatch(objective=evil + "x" * 10_000)).json()["mission_id"]
    await api.until(mission_id, "completed")
    await api.call("POST", f"/api/v1/ops/rollout/{CODER}/evidence", json={"window_label": evil, "notes": evil})
    await api.call("POST", f"/api/v1/ops/rollout/{CODER}/hold", json={"reason": evil})
    async with visitor(api) as browser:
        for page in (*PAGES, f"/missions/{mission_id}"):
            text = (await browser.get(page)).text
            assert "<script>alert" not in text
            assert "<img" not in text
            assert "\x1b" not in text
            assert "\u202e" not in text
        mission = (await browser.get(f"/missions/{mission_id}")).text
    assert "&lt;script&gt;" in mission
    assert r"\x1b[31m" in mission
    assert "characters)" in mission


async def test_no_get_changes_anything(api: Api) -> None:
    held = (await api.dispatch(constraints={"approval_required": ["*"]})).json()["mission_id"]
    async with visitor(api) as browser:
        for deed in ("approve", "cancel", "deny", "retry"):
            assert (await browser.get(f"/missions/{held}/{deed}")).status_code in (404, 405)
        assert (await browser.get(f"/rollout/{CODER}/rollback")).status_code in (404, 405)
    assert (await api.call("GET", f"/api/v1/missions/{held}")).json()["state"] == "blocked"


async def test_a_form_that_this_page_did_not_send_is_refused(api: Api) -> None:
    held = (await api.dispatch(constraints={"approval_required": ["*"]})).json()["mission_id"]
    form, reason = f"/missions/{held}/approve", {"reason": "x"}
    async with visitor(api) as browser:
        word = WORD.search((await browser.get(f"/missions/{held}")).text)
        assert word is not None
        for data, headers in (
            (reason, {}),
            (reason | {"word": "guessed"}, {}),
            (reason | {"word": word.group(1)}, {"Origin": "https://evil.example"}),
            (reason | {"word": word.group(1)}, {"Sec-Fetch-Site": "cross-site"}),
        ):
            assert (await browser.post(form, data=data, headers=headers)).status_code == 400
    assert (await api.call("GET", f"/api/v1/missions/{held}")).json()["state"] == "blocked"


async def test_a_mission_is_approved_and_the_ledger_says_by_whom_and_how(api: Api) -> None:
    held = (await api.dispatch(constraints={"approval_required": ["*"]})).json()["mission_id"]
    async with visitor(api) as browser:
        shown = await send(browser, f"/missions/{held}", f"/missions/{held}/approve", reason="looks fine")
    assert shown.status_code == 200
    await api.until(held, "completed")
    events = (await api.call("GET", f"/api/v1/missions/{held}/events?after=2")).json()["events"]
    assert events[0]["actor"] == {"kind": "operator", "name": "ops", "reason": "looks fine", "way": "page"}


async def test_a_lane_is_drained_and_resumed(api: Api) -> None:
    async with visitor(api) as browser:
        page = f"/lanes/{CODER}"
        assert "paused" in (await send(browser, page, f"{page}/drain", reason="a look")).text
        assert "active" in (await send(browser, page, f"{page}/resume", reason="done")).text
        refused = await send(browser, page, f"{page}/drain", reason=" ")
        assert refused.status_code == 422
        assert (await send(browser, page, f"{page}/explode", reason="x")).status_code == 404


async def test_a_rollout_is_steered_and_a_gate_that_holds_says_what_is_missing(api: Api) -> None:
    page = f"/rollout/{CODER}"
    async with visitor(api) as browser:
        assert "forced fallback" in (await send(browser, page, f"{page}/rollback", reason="an incident")).text
        lifted = await send(browser, page, f"{page}/advance", reason="over", to="shadow")
        assert 'aria-current="step">shadow' in lifted.text
        held = await send(browser, page, f"{page}/advance", reason="now", to="limited_cohort")
        assert held.status_code == 409
        assert "0 of 14 needed" in held.text
        assert "HOLD_SHADOW" in (await send(browser, page, f"{page}/capture", reason="a note")).text


async def test_several_missions_are_cancelled_only_after_they_were_shown(api: Api) -> None:
    ids = [(await api.dispatch(vp_id=OTHER)).json()["mission_id"] for _ in range(2)]
    async with visitor(api) as browser:
        page = f"/missions?vp_id={OTHER}&state=queued"
        shown = await send(browser, page, "/cancel-missions", mission_id=ids)
        assert "Cancel 2 missions?" in shown.text
        assert (await api.call("GET", f"/api/v1/missions/{ids[0]}")).json()["state"] == "queued"
        done = await send(browser, page, "/cancel-missions", mission_id=ids, confirmed="yes", reason="not wanted")
        assert "2 of 2 missions" in done.text
    for one in ids:
        assert (await api.call("GET", f"/api/v1/missions/{one}")).json()["state"] == "cancelled"


async def test_a_token_sees_and_does_what_its_scopes_let_it(api: Api) -> None:
    held = (await api.dispatch(constraints={"approval_required": ["*"]})).json()["mission_id"]
    async with visitor(api, token=BOUND) as browser:
        refused = await browser.get("/")
        assert refused.status_code == 403
        assert "ops:read" in refused.text
    async with visitor(api) as browser:
        page = (await browser.get(f"/missions/{held}")).text
        assert "Approve" in page


async def test_an_empty_list_names_the_next_command(api: Api) -> None:
    async with visitor(api) as browser:
        assert "dragan mission dispatch" in (await browser.get("/missions?state=failed")).text


async def test_the_page_stands_below_a_prefix_and_leaves_the_hosts_front_page_alone(tmp_path: Any) -> None:
    plane = EmbeddedPlane(f"sqlite:///{tmp_path}/state.db", lanes=LANES, serve_lanes=False)
    app = Litestar(plugins=[DragancorpPlugin(plane, path="/dragan", tokens=tokens())], openapi_config=None)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, follow_redirects=True) as browser:
        signed_in = await browser.post("/dragan/sign-in", data={"token": OPERATOR})
        assert "/dragan/missions" in signed_in.text
        assert (await browser.get("/dragan/page/style.css")).status_code == 200
        assert (await browser.get("/")).status_code == 404
