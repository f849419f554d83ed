"""A mission's stream: nothing skipped, nothing repeated, whatever happens to the connection."""

import asyncio
import contextlib
import json
import os
import random
import socket
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dragancorp.faces import asgi
from dragancorp.faces.api import mission_stream
from dragancorp.faces.api.mission_stream import MissionStream
from dragancorp.registry.queries import Query, ReadLedger
from dragancorp_contracts import judge, resources
from dragancorp_contracts.api.records import ServerEvent
from dragancorp_contracts.client import Client, ProblemError, ServerUnreachable, SyncClient

from .conftest import CODER, OPERATOR, OTHER, READER, Api, assert_problem, serving, tokens
from .ledger_writer import LedgerWriter

pytestmark = pytest.mark.anyio
MESSAGES = resources.read_document("callbacks", file="asyncapi.json")["components"]["messages"]
STREAMED = {
    message["x-dragan-sse"]["event"]: message["payload"]["schema"]["$ref"].removeprefix("../../")
    for message in MESSAGES.values()
    if "x-dragan-sse" in message
}


def sequences(events: list[ServerEvent]) -> list[int]:
    """The sequences of the ledger's events among them, each of them judged by its contract on the way."""
    found = []
    for event in events:
        document = json.loads(event.data or "")
        assert judge.violations_at(STREAMED[event.event or ""], document) == []
        if event.event == "mission_event":
            assert event.id == str(document["sequence"])
            found.append(document["sequence"])
    return found


@pytest.fixture
async def writer(api: Api) -> LedgerWriter:
    """A claimed mission: two events so far."""
    await api.dispatch(vp_id=OTHER)
    return await LedgerWriter.claim(api.plane, OTHER)


@pytest.fixture
async def client(api: Api) -> AsyncIterator[Client]:
    async with Client(api.url, OPERATOR) as client:
        yield client


def path_of(writer: LedgerWriter) -> str:
    return f"/api/v1/missions/{writer.claimed.mission_id}/events/stream"


async def test_the_mission_as_it_is_comes_first_then_what_happens_until_its_end(
    api: Api, writer: LedgerWriter, client: Client
) -> None:
    await writer.progress("one")
    stream = client.stream_mission_events(writer.claimed.mission_id)
    snapshot = await anext(stream)
    assert (snapshot.event, snapshot.id) == ("snapshot", "3")
    assert json.loads(snapshot.data or "")["state"] == "running"
    await writer.progress("two", "a line\u2028that ends nowhere\u0085 and \r neither")
    await writer.complete()
    rest = [event async for event in stream]
    assert sequences([snapshot, *rest]) == [4, 5, 6]
    ledger = (await api.call("GET", path_of(writer).removesuffix("/stream"))).json()["events"]
    assert [json.loads(event.data or "") for event in rest] == ledger[3:]


async def test_from_zero_a_stream_is_the_whole_ledger_and_nothing_else(writer: LedgerWriter, client: Client) -> None:
    await writer.progress("one", "two")
    await writer.complete()
    told = [event async for event in client.stream_mission_events(writer.claimed.mission_id, last_event_id=0)]
    assert sequences(told) == [1, 2, 3, 4, 5]
    assert {event.event for event in told} == {"mission_event"}


async def test_an_ended_mission_is_told_by_its_snapshot_and_then_the_reader_may_stay_away(
    api: Api, writer: LedgerWriter, client: Client
) -> None:
    await writer.complete()
    (only,) = [event async for event in client.stream_mission_events(writer.claimed.mission_id)]
    assert json.loads(only.data or "")["state"] == "completed"
    again = await api.call("GET", path_of(writer), headers={"Last-Event-ID": only.id or ""})
    assert (again.status_code, again.content) == (204, b"")


async def test_who_may_not_read_learns_nothing_and_an_unknown_position_is_refused(
    api: Api, writer: LedgerWriter
) -> None:
    hidden = (await api.dispatch(vp_id=CODER)).json()["mission_id"]
    assert_problem(await api.call("GET", path_of(writer), token=None), 401, "unauthenticated")
    refused = await api.call("GET", f"/api/v1/missions/{hidden}/events/stream", token=READER)
    assert_problem(refused, 404, "mission_unknown")
    for position in ("3", "-1", "x", "9" * 30, "1.5"):
        refused = await api.call("GET", path_of(writer), headers={"Last-Event-ID": position})
        problem = assert_problem(refused, 400, "parameter_invalid")
        assert [one["pointer"] for one in problem["violations"]] == ["/header/Last-Event-ID"]


@contextlib.asynccontextmanager
async def breaking(url: str, dice: random.Random) -> AsyncIterator[tuple[str, list[int]]]:
    """A way to the server on which every connection breaks somewhere; answers its URL and the connections made."""
    port = int(url.rpartition(":")[2])
    made: list[int] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None) -> None:
        while (data := await reader.read(4096)) and (most is None or most > 0):
            writer.write(data if most is None else data[:most])
            await writer.drain()
            most = None if most is None else most - len(data)

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        most = dice.choice([0, dice.randrange(1, 400), dice.randrange(400, 6000)])
        made.append(most)
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)
        ways = [
            asyncio.create_task(pump(reader, upstream, None)),
            asyncio.create_task(pump(upstream_reader, writer, most)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            upstream.close()
            writer.transport.abort()

    server = await asyncio.start_server(broken, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", made
    finally:
        server.close()


async def test_connections_that_break_anywhere_neither_skip_nor_repeat_an_event(
    api: Api, writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = int(os.environ.get("STREAM_SEED", random.randrange(2**32)))
    print(f"STREAM_SEED={seed}")
    dice = random.Random(seed)
    for module in ("transport", "sync_transport"):
        monkeypatch.setattr(f"dragancorp_contracts.client.{module}.FIRST_PAUSE_SECONDS", 0.001)
        monkeypatch.setattr(f"dragancorp_contracts.client.{module}.LONGEST_PAUSE_SECONDS", 0.01)
    mission_id, events = writer.claimed.mission_id, 50

    async def write() -> None:
        for number in range(events - 3):
            await writer.progress(f"{number} {'x' * dice.randrange(200)}")
            await asyncio.sleep(dice.choice([0, 0, 0.005]))
        await writer.complete()

    def read_blocking(url: str) -> list[ServerEvent]:
        with SyncClient(url, OPERATOR, attempts=500) as client:
            return list(client.stream_mission_events(mission_id, last_event_id=0))

    async def read(url: str) -> list[ServerEvent]:
        async with Client(url, OPERATOR, attempts=500) as client:
            return [event async for event in client.stream_mission_events(mission_id, last_event_id=0)]

    async with asyncio.timeout(60), breaking(api.url, dice) as (url, made):
        one, other, _ = await asyncio.gather(read(url), asyncio.to_thread(read_blocking, url), write())
    assert sequences(one) == sequences(other) == list(range(1, events + 1))
    assert len(made) > 10  # it was hard


async def test_a_stream_that_ends_with_its_mission_is_no_try_in_vain(api: Api, writer: LedgerWriter) -> None:
    await writer.complete()
    async with Client(api.url, OPERATOR, attempts=1) as client:
        told = [event async for event in client.stream_mission_events(writer.claimed.mission_id, last_event_id=0)]
    assert sequences(told) == [1, 2, 3]


async def test_a_client_gives_up_when_nothing_comes_any_more(api: Api, writer: LedgerWriter) -> None:
    async with asyncio.timeout(30), Client(api.url, OPERATOR, attempts=2) as client:
        stream = client.stream_mission_events(writer.claimed.mission_id)
        await anext(stream)
        await api.plane.close()
        with pytest.raises((ServerUnreachable, ProblemError), match=r"shutting_down|ended too early"):
            await anext(stream)


async def test_a_plane_that_closes_ends_its_streams_and_leaves_no_trace_of_it_on_the_console(
    api: Api, writer: LedgerWriter, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    async with asyncio.timeout(30), api.http.stream("GET", path_of(writer), headers=headers) as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "id: 2"
        await api.plane.close()
        rest = [line async for line in lines]
    assert not [line for line in rest if line.startswith("id:")]
    assert [record for record in caplog.records if record.levelname not in ("DEBUG", "INFO")] == []


class _Slow:
    """A reader that has asked, and takes nothing until it is told to."""

    def __init__(self, url: str, path: str, after: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        request = (
            f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPERATOR}\r\n"
            f"Last-Event-ID: {after}\r\nConnection: close\r\n\r\n"
        )
        self._socket.sendall(request.encode())

    def rest(self) -> str:
        """All that was sent, read to the end."""
        self._socket.settimeout(30)
        with self._socket:
            return b"".join(iter(lambda: self._socket.recv(65536), b"")).decode()


async def test_a_slow_reader_is_told_of_the_gap_goes_on_after_it_and_others_feel_nothing(
    api: Api, writer: LedgerWriter, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mission_stream, "PATIENCE_SECONDS", 0.5)
    mission_id = writer.claimed.mission_id
    for number in range(110):
        await writer.say(summary=str(number), result={"text": "x" * 60_000})
    slow = _Slow(api.url, path_of(writer), 0)
    quick = asyncio.create_task(_collected(client, mission_id))
    await asyncio.sleep(1.5)  # more than its patience
    text = await asyncio.to_thread(slow.rest)
    gap = json.loads(text.partition("event: gap\ndata: ")[2].partition("\n")[0])
    assert judge.violations_at(STREAMED["gap"], gap) == []
    assert (gap["mission_id"], gap["last_sequence"]) == (mission_id, 112)
    sent = [int(line.removeprefix("id: ")) for line in text.splitlines() if line.startswith("id: ")]
    assert sent == list(range(1, gap["after"] + 1))
    await writer.complete()
    following = client.stream_mission_events(mission_id, last_event_id=gap["after"])
    assert sequences([event async for event in following]) == list(range(gap["after"] + 1, 114))
    async with asyncio.timeout(30):
        assert sequences(await quick) == list(range(1, 114))


async def _collected(client: Client, mission_id: str) -> list[ServerEvent]:
    return [event async for event in client.stream_mission_events(mission_id, last_event_id=0)]


async def test_a_thousand_readers_do_not_poll_and_share_what_they_read(
    api: Api, writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    mission_id, reads = writer.claimed.mission_id, 0
    read = api.plane.store.read

    async def counted(query: Query[Any]) -> Any:
        nonlocal reads
        reads += isinstance(query, ReadLedger)
        return await read(query)

    monkeypatch.setattr(api.plane.store, "read", counted)
    ready, waiting = 0, asyncio.Event()

    async def follow() -> list[ServerEvent]:
        nonlocal ready
        stream = MissionStream(api.plane.missions.ledgers, api.plane.clock, mission_id)
        told = []
        async for event in stream.events(0):
            told.append(event)
            if event.id == "2":
                ready += 1
                if ready == 1000:
                    waiting.set()
        return told

    readers = [asyncio.create_task(follow()) for _ in range(1000)]
    async with asyncio.timeout(60):
        await waiting.wait()
        await asyncio.sleep(0.2)  # who polls would show
        reads = 0
        await asyncio.sleep(0.3)
        assert reads == 0
        await writer.progress("one")
        await writer.complete()
        everything = await asyncio.gather(*readers)
    assert all(sequences(told) == [1, 2, 3, 4] for told in everything[:3])
    assert {tuple(event.id for event in told) for told in everything} == {("1", "2", "3", "4")}
    assert reads < 300  # alone, each would have read two parts or three; how many meet is the loop's affair


async def test_what_is_archived_is_gone_for_streams_and_pages(api: Api, writer: LedgerWriter, tmp_path: Path) -> None:
    await writer.progress("one")
    await writer.complete()
    with sqlite3.connect(tmp_path / "state.db", timeout=10) as database:
        database.execute("DELETE FROM vp_mission_events WHERE sequence < 3")
    for after, status in ((0, 410), (1, 410), (2, 200), (3, 200), (4, 204)):
        answer = await api.call("GET", path_of(writer), headers={"Last-Event-ID": str(after)})
        assert answer.status_code == status, after
        if status == 410:
            assert assert_problem(answer, 410, "events_gone")["facts"] == {"after": after, "last_sequence": 4}
    pages = path_of(writer).removesuffix("/stream")
    assert_problem(await api.call("GET", f"{pages}?after=0"), 410, "events_gone")
    assert len((await api.call("GET", f"{pages}?after=2")).json()["events"]) == 2
    with sqlite3.connect(tmp_path / "state.db", timeout=10) as database:
        database.execute("DELETE FROM vp_mission_events")
    assert_problem(await api.call("GET", path_of(writer), headers={"Last-Event-ID": "3"}), 410, "events_gone")
    assert (await api.call("GET", path_of(writer), headers={"Last-Event-ID": "4"})).status_code == 204


async def test_a_quiet_stream_is_kept_alive_by_comments(
    api: Api, writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mission_stream, "KEEP_ALIVE_SECONDS", 0.05)
    async with serving(asgi(api.plane, tokens=tokens())) as url:
        headers = {"Authorization": f"Bearer {OPERATOR}", "Last-Event-ID": "2"}
        async with asyncio.timeout(20), api.http.stream("GET", f"{url}{path_of(writer)}", headers=headers) as response:
            assert response.headers["cache-control"] == "no-cache"
            lines = response.aiter_lines()
            assert [await anext(lines) for _ in range(4)] == [": keep-alive", "", ": keep-alive", ""]


def test_an_event_is_gathered_from_any_pieces_with_any_line_ends() -> None:
    from dragancorp_contracts.client.event_lines import EventLines

    text = "id: 1\r\nevent: a\rdata: x\u2028y\n\r\n: comment\n\ndata:z\n\n"
    for size in range(1, len(text)):
        lines = EventLines()
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        found = [event for piece in pieces for event in lines.take(piece)]
        assert [(one.id, one.event, one.data) for one in found] == [("1", "a", "x\u2028y"), ("1", None, "z")], size
