"""Gateway sessions over a real socket: turns, frames, duplicates, lost connections, cancels and bad input."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from dragancorp.clock import FakeClock
from dragancorp.control_plane import ControlPlane
from dragancorp.faces import asgi
from dragancorp.gateway.session import GatewaySession
from dragancorp.gateway.sessions import GatewaySessions
from dragancorp.gateway.turns import Turn
from dragancorp.registry.queries import ListMissions
from dragancorp_contracts import judge
from dragancorp_contracts.lifecycle import MissionState

from .conftest import AUTOMATION, BOUND, LANES, OPERATOR, READER, Api, assert_problem, serving, tokens

pytestmark = pytest.mark.anyio
FRAME = "gateway-turn/v1/schema.json#/$defs/session_frame"


class Primary:
    """The gateway's own agent: echoes, fails, or waits for as long as it is told to."""

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.go = asyncio.Event()
        self.stubborn = False

    async def __call__(self, turn: Turn) -> AsyncIterator[Any]:
        self.turns.append(turn.text)
        if "wait" in turn.text:
            while not self.go.is_set():
                try:
                    await self.go.wait()
                except asyncio.CancelledError:
                    if not self.stubborn:
                        raise
        if "fail" in turn.text:
            raise KeyError("lost")
        for word in turn.text.split():
            yield {"text": word}


@pytest.fixture
def primary() -> Primary:
    return Primary()


@pytest.fixture
async def api(anyio_backend: str, tmp_path: Path, primary: Primary) -> AsyncIterator[Api]:
    async with await ControlPlane.open(f"sqlite:///{tmp_path}/state.db", lanes=LANES, primary=primary) as plane:
        async with serving(asgi(plane, tokens=tokens())) as url:
            api = Api(plane, url)
            async with api.http:
                yield api


class Caller:
    """One connection to a session; every frame it gets is judged by the contract."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, text: str, **members: Any) -> None:
        await self.socket.send(json.dumps({"text": text, "session_id": "s1", **members}))

    async def hear(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), 30))
        shape = FRAME if "cursor" in document else "errors/v1/schema.json"
        assert judge.violations_at(shape, document) == [], document
        return document

    async def hear_until(self, kind: str) -> list[dict[str, Any]]:
        heard = [await self.hear()]
        while heard[-1].get("type") != kind:
            heard.append(await self.hear())
        return heard


@asynccontextmanager
async def calling(api: Api, *, after: int | str | None = None, token: str | None = BOUND, session: str = "s1") -> Any:
    url = f"{api.url.replace('http', 'ws')}/api/v1/sessions/{session}/stream"
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    query = "" if after is None else f"?after={after}"
    async with connect(url + query, additional_headers=headers, max_size=None) as socket:
        yield Caller(socket)


async def opened(api: Api, token: str = BOUND) -> None:
    answer = await api.call("POST", "/api/v1/sessions", json={"session_id": "s1"}, token=token)
    assert answer.status_code == 201


async def session(api: Api) -> dict[str, Any]:
    return dict((await api.call("GET", "/api/v1/sessions/s1", token=BOUND)).json())


async def until(holds: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.02)


def automation(*words: str) -> dict[str, Any]:
    return {"extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": list(words)}]}}]}


async def test_a_turn_is_answered_in_numbered_frames(api: Api) -> None:
    await opened(api)
    async with calling(api) as caller:
        await caller.say("hello there", turn_id="t-1")
        heard = await caller.hear_until("turn_ended")
    assert [frame["cursor"] for frame in heard] == [1, 2, 3, 4]
    assert [frame.get("answer") for frame in heard] == [None, "hello", "there", None]
    assert (heard[-1]["outcome"], heard[-1]["turn_id"]) == ("answered", "t-1")
    assert (await session(api))["active_runs"] == 0


async def test_a_turn_for_the_lane_shows_what_the_lane_does(api: Api) -> None:
    await opened(api)
    async with calling(api) as caller:
        await caller.say("CODIE, go", mission=automation("echo", "hi"))
        heard = await caller.hear_until("turn_ended")
    types = [frame["event"]["type"] for frame in heard if frame["type"] == "event"]
    assert (types[0], types[-1]) == ("delegated_to_coder_vp", "coder_vp_completed")
    assert heard[-1]["outcome"] == "answered"


async def test_a_lane_that_fails_falls_back_and_one_that_refuses_is_refused(api: Api) -> None:
    await opened(api)
    async with calling(api) as caller:
        await caller.say("CODIE, try", mission=automation("sh", "-c", "exit 1"))
        heard = await caller.hear_until("turn_ended")
        assert "coder_vp_fallback" in [frame["event"]["type"] for frame in heard if frame["type"] == "event"]
        assert [frame["answer"] for frame in heard if frame["type"] == "answer"] == ["CODIE,", "try"]
        await caller.say("CODIE, now", mission={"deadline_at": "2020-01-01T00:00:00Z", **automation("echo", "x")})
        ended = (await caller.hear_until("turn_ended"))[-1]
    assert (ended["outcome"], ended["problem"]["code"]) == ("refused", "delegation_refused")


async def test_a_primary_that_fails_is_a_failed_turn_and_the_session_goes_on(api: Api) -> None:
    await opened(api)
    async with calling(api) as caller:
        await caller.say("fail")
        ended = (await caller.hear_until("turn_ended"))[-1]
        assert (ended["outcome"], ended["problem"]["detail"]) == ("failed", "KeyError: 'lost'")
        await caller.say("hello")
        assert (await caller.hear_until("turn_ended"))[-1]["outcome"] == "answered"


async def test_a_second_turn_is_refused_while_one_runs(api: Api, primary: Primary) -> None:
    await opened(api)
    async with calling(api) as caller:
        await caller.say("wait", turn_id="t-1")
        await caller.hear_until("turn_started")
        assert (await session(api))["turn_id"] == "t-1"
        await caller.say("another")
        assert (await caller.hear())["code"] == "session_busy"
        primary.go.set()
        await caller.hear_until("turn_ended")
    assert primary.turns == ["wait"]


async def test_a_turn_that_comes_again_is_a_duplicate_by_its_id_or_its_text(api: Api, primary: Primary) -> None:
    await opened(api)
    async with calling(api) as caller:
        await caller.say("hello", turn_id="t-1")
        await caller.hear_until("turn_ended")
        await caller.say("hello", turn_id="t-1")
        again = await caller.hear()
        assert (again["type"], again["turn_id"]) == ("duplicate", "t-1")
        await caller.say("good day")
        ended = (await caller.hear_until("turn_ended"))[-1]
        await caller.say("good day")
        again = await caller.hear()
        assert (again["type"], again["turn_id"]) == ("duplicate", ended["turn_id"])
    assert primary.turns == ["hello", "good day"]


async def test_a_lost_connection_is_resumed_by_cursor_and_nothing_runs_twice(api: Api, primary: Primary) -> None:
    await opened(api)
    async with calling(api) as caller:
        await caller.say("wait for me")
        assert (await caller.hear())["cursor"] == 1
    primary.go.set()
    async with calling(api, after=1) as caller:
        rest = await caller.hear_until("turn_ended")
    assert [frame["cursor"] for frame in rest] == [2, 3, 4, 5]
    async with calling(api, after=0) as caller:
        assert [frame["cursor"] for frame in await caller.hear_until("turn_ended")] == [1, 2, 3, 4, 5]
    assert primary.turns == ["wait for me"]


async def test_two_connections_see_the_same_frames(api: Api) -> None:
    await opened(api)
    async with calling(api) as one, calling(api) as other:
        await one.say("hello")
        assert await one.hear_until("turn_ended") == await other.hear_until("turn_ended")


async def test_cancelling_a_session_ends_turn_mission_and_processes(api: Api) -> None:
    await opened(api)
    async with calling(api) as caller:
        await caller.say("CODIE, sleep", mission=automation("sleep", "60"))
        await caller.hear_until("event")
        await until(lambda: _missions(api, MissionState.RUNNING))
        cancelled = await api.call("POST", "/api/v1/ops/sessions/s1/cancel", json={"reason": "enough"})
        assert cancelled.json()["active_runs"] == 0
        assert (await caller.hear_until("turn_ended"))[-1]["outcome"] == "cancelled"
    await until(lambda: _missions(api, MissionState.CANCELLED))


async def _missions(api: Api, state: MissionState) -> bool:
    page = await api.plane.store.read(ListMissions(state=state))
    return bool(page.missions)


async def test_a_task_that_refuses_to_die_is_left_behind_and_no_run_is_active(api: Api, primary: Primary) -> None:
    primary.stubborn = True
    await opened(api)
    async with calling(api) as caller:
        await caller.say("wait")
        await caller.hear_until("turn_started")
        await api.plane.sessions.find(None, "s1").cancel(patience=0.3)
        assert (await caller.hear_until("turn_ended"))[-1]["outcome"] == "cancelled"
        assert (await session(api))["active_runs"] == 0
        await caller.say("hello")
        heard = await caller.hear_until("turn_ended")
    primary.go.set()
    assert [frame.get("answer") for frame in heard if frame["type"] == "answer"] == ["hello"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", "json_invalid"),
        ("[]", "document_invalid"),
        (b"\x00\xff", "json_invalid"),
        ('{"text": "a", "text": "b", "session_id": "s1"}', "json_invalid"),
        ('{"text": "a"}', "document_invalid"),
        ('{"text": "a", "session_id": "s1", "surprise": 1}', "document_invalid"),
        ('{"text": "a", "session_id": "s2"}', "session_unknown"),
        (json.dumps({"text": "x" * 5_000_000, "session_id": "s1"}), "document_invalid"),
    ],
)
async def test_a_frame_that_is_not_taken_is_answered_and_the_session_goes_on(
    api: Api, sent: str | bytes, code: str
) -> None:
    await opened(api)
    async with calling(api) as caller:
        await caller.socket.send(sent)
        assert (await caller.hear())["code"] == code
        await caller.say("hello")
        assert (await caller.hear_until("turn_ended"))[-1]["outcome"] == "answered"


@pytest.mark.parametrize("text", ["🙂🙂", "\u202e\u202d\u2066", "", "\ud83d"])
async def test_any_text_is_a_turn(api: Api, text: str) -> None:
    await opened(api)
    async with calling(api) as caller:
        await caller.say(text)
        heard = await caller.hear()
        # Half of a surrogate pair is no text that JSON can hold.
        assert heard.get("code") == "json_invalid" if text == "\ud83d" else heard["type"] == "turn_started"


@pytest.mark.parametrize(
    ("token", "where", "code"),
    [
        (None, "s1", 4401),
        ("nonsense", "s1", 4401),
        (READER, "s1", 4403),
        (BOUND, "nobody", 4404),
        (BOUND, "s1", 4400),
    ],
)
async def test_a_handshake_that_is_refused_is_told_why(api: Api, token: str | None, where: str, code: int) -> None:
    await opened(api)
    async with calling(api, token=token, session=where, after="x" if code == 4400 else "0") as caller:
        problem = await caller.hear()
        assert problem["hint"]
        with pytest.raises(ConnectionClosed) as closed:
            await caller.socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


async def test_somebody_elses_session_is_unknown_but_to_an_operator(api: Api) -> None:
    await opened(api, token=OPERATOR)
    assert_problem(await api.call("GET", "/api/v1/sessions/s1", token=BOUND), 404, "session_unknown")
    taken = await api.call("POST", "/api/v1/sessions", json={"session_id": "s1"}, token=BOUND)
    assert_problem(taken, 404, "session_unknown")
    async with calling(api, token=BOUND) as caller:
        assert (await caller.hear())["code"] == "session_unknown"
    assert (await api.call("GET", "/api/v1/sessions/s1", token=OPERATOR)).status_code == 200


async def test_without_a_primary_there_are_no_sessions(tmp_path: Path) -> None:
    async with await ControlPlane.open(f"sqlite:///{tmp_path}/other.db", lanes=LANES, serve_lanes=False) as plane:
        async with serving(asgi(plane, tokens=tokens())) as url:
            api = Api(plane, url)
            async with api.http:
                assert_problem(await api.call("POST", "/api/v1/sessions"), 409, "primary_missing")


async def test_closing_the_plane_ends_every_turn(tmp_path: Path, primary: Primary) -> None:
    plane = await ControlPlane.open(f"sqlite:///{tmp_path}/other.db", lanes=LANES, serve_lanes=False, primary=primary)
    one = plane.sessions.open("somebody")
    one.take(Turn(text="wait", session_id=one.session_id))
    await asyncio.sleep(0)
    await plane.close()
    assert one.active_runs == 0


# Time, on a clock that is told to move


async def _echo(turn: Turn) -> AsyncIterator[str]:
    yield turn.text


async def _waits(turn: Turn) -> AsyncIterator[str]:
    await asyncio.Event().wait()
    yield "never"


async def test_a_turn_that_nobody_listens_to_is_cancelled_after_a_while() -> None:
    clock = FakeClock()
    sessions = GatewaySessions(clock, _waits)
    one = sessions.open("somebody")
    one.take(Turn(text="go", session_id=one.session_id))
    await asyncio.sleep(0)
    clock.advance(59.0)
    await sessions.tick()
    assert one.active_runs == 1
    clock.advance(2.0)
    await sessions.tick()
    assert one.active_runs == 0
    clock.advance(3601.0)
    await sessions.tick()
    assert list(sessions) == []
    await sessions.close()


async def test_frames_that_are_not_kept_show_as_a_gap() -> None:
    async def many(turn: Turn) -> AsyncIterator[str]:
        for number in range(6_000):
            yield str(number)

    one = GatewaySession("s1", "somebody", FakeClock(), many)
    one.take(Turn(text="go", session_id="s1"))
    async with asyncio.timeout(30):
        while one.active_runs:
            await asyncio.sleep(0)
    heard = []
    async for frame in one.listen(after=5):
        heard.append(frame)
        if frame["type"] == "turn_ended":
            break
    assert heard[0]["type"] == "gap"
    assert heard[1]["cursor"] == heard[0]["cursor"] + 1
    assert [frame["cursor"] for frame in heard[1:]] == list(range(heard[1]["cursor"], 6_003))
