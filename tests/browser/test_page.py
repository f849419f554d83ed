"""The operator's page in a real browser: live without reload, by keyboard, in light and dark, wide and narrow.

Needs Debian's `chromium`; `make browser-test` runs it. Pictures of every page are left in `test-output/`.
"""

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from dragancorp.control_plane import ControlPlane
from dragancorp.faces import asgi
from dragancorp.lifecycle.commands import By
from dragancorp.missions.commands import Requester
from dragancorp.tokens_file import TokenBook, operator_token
from dragancorp_contracts.lifecycle import Actor

PICTURES = Path(__file__).parents[2] / "test-output"
CODER = "vp.coder.primary"
OPERATOR = "operator-secret"
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
LANES = [
    {"vp_id": CODER, "aliases": ["CODIE"], "executor": {"type": "automation", "allow": ["echo"]}},
    # Nobody serves this one: its flag is not set, and what it is given waits.
    {"vp_id": "vp.research", "flag": "RESEARCH_VP", "executor": {"type": "automation", "allow": ["echo"]}},
]
CALLER = Requester(by=By(kind=Actor.CALLER, name="simone"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PATIENCE_MS = 30_000


class House:
    """A served plane in a thread of its own, so that the browser can be driven from this one."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(folder),))
        self.url = ""

    def __enter__(self) -> "House":
        self._thread.start()
        assert self._ready.wait(60), "the plane does not come up"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        self._loop.close()

    async def _serve(self, folder: Path) -> None:
        book = TokenBook([operator_token(OPERATOR)])
        async with await ControlPlane.open(f"sqlite:///{folder}/state.db", lanes=LANES) as plane:
            self.plane = plane
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                server = uvicorn.Server(uvicorn.Config(asgi(plane, tokens=book), log_config=None, lifespan="on"))
                answering = asyncio.create_task(server.serve(sockets=[listener]))
                while not server.started:
                    await asyncio.sleep(0.01)
                self._ready.set()
                await self._stop.wait()
                server.should_exit = True
                await answering

    def dispatch(self, **members: Any) -> str:
        """Dispatch a mission; answers its id."""
        document = {
            "vp_id": CODER,
            "mission_type": "automation",
            "objective": "Say hello",
            "idempotency_key": os.urandom(8).hex(),
            "extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": ["echo", "hello"]}]}}],
        } | members
        asked = self.plane.missions.dispatch(document, CALLER)
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(30).mission.row.mission_id


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    for name in [name for name in os.environ if name.startswith("UA_")]:
        monkeypatch.delenv(name)
    with House(tmp_path) as house:
        yield house


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "the browser tests need Debian's chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        with closing(playwright.chromium.launch(executable_path=program, args=FLAGS)) as browser:
            yield browser


def visit(browser: Browser, house: House, **how: Any) -> Page:
    """A page that is signed in; a script error or a blocked resource fails the test at its end."""
    page = browser.new_context(**how).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(house.url)
    page.get_by_label("Token").fill(OPERATOR)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Lanes").wait_for()
    return page


LOOKS = [("light", 1280), ("dark", 1280), ("light", 390)]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_every_page_can_be_read_by_everybody(browser: Browser, house: House, scheme: Any, width: int) -> None:
    done = house.dispatch(objective="Make the parser accept empty files " + "very " * 60 + "carefully")
    held = house.dispatch(constraints={"approval_required": ["*"]})
    page = visit(browser, house, color_scheme=scheme, viewport={"width": width, "height": 900})
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    PICTURES.mkdir(exist_ok=True)
    paths = {
        "lanes": "/",
        "lane": f"/lanes/{CODER}",
        "missions": "/missions",
        "mission": f"/missions/{done}",
        "decision": f"/missions/{held}",
        "rollout": f"/rollout/{CODER}",
        "recovery": "/recovery",
    }
    for name, path in paths.items():
        page.goto(house.url + path)
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["target"]) for one in found] == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the window"
        page.screenshot(path=PICTURES / f"{name}-{scheme}-{width}.png", full_page=True)
    assert trouble == []
    page.context.close()


def test_a_page_follows_what_happens_without_a_reload(browser: Browser, house: House) -> None:
    page = visit(browser, house)
    page.evaluate("window.here = true")
    house.dispatch(vp_id="vp.research")
    page.get_by_role("row", name="vp.research").get_by_role("link", name="1", exact=True).wait_for()
    assert page.evaluate("window.here"), "it was reloaded"
    page.context.close()


def test_a_reason_that_is_being_written_is_not_taken_away(browser: Browser, house: House) -> None:
    held = house.dispatch(constraints={"approval_required": ["*"]})
    page = visit(browser, house)
    page.goto(f"{house.url}/missions/{held}")
    reason = page.get_by_label("Reason").first
    reason.fill("because it")
    page.wait_for_timeout(5_000)  # two looks of the script
    assert reason.input_value() == "because it"
    reason.fill("because it is fine")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("heading", name="completed").wait_for()
    page.context.close()


def test_without_scripts_and_by_keyboard_alone_a_mission_is_cancelled(browser: Browser, house: House) -> None:
    waiting = house.dispatch(vp_id="vp.research")
    page = visit(browser, house, java_script_enabled=False)
    page.goto(f"{house.url}/missions/{waiting}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # to the content
    reason = page.get_by_label("Reason")
    reason.focus()
    page.keyboard.type("not wanted any more")
    page.keyboard.press("Enter")
    page.get_by_text("It has ended as cancelled").first.wait_for()
    page.context.close()
