"""A toy service behind the generated controllers, on a real socket, asked raw and by the generated client."""

import asyncio
import importlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from litestar import Litestar, Request, Response

NOTE = {"vp_id": "vp.coder.primary", "text": "hello"}
READER, WRITER = {"Authorization": "Bearer reader"}, {"Authorization": "Bearer writer"}
TOKENS = {"reader": {"notes:read"}, "writer": {"notes:read", "notes:write"}}


class House:
    """The running toy server and what its service saw."""

    def __init__(self, service_type: type[Any]) -> None:
        self.records = importlib.import_module("toy_contracts.api.records")
        self.codes = importlib.import_module("toy_contracts.errors").ErrorCode
        self.controllers = importlib.import_module("toy_contracts.api.controllers")
        self.service = service_type()
        app = Litestar(
            self.controllers.build_handlers(self.service, self.authenticate),
            openapi_config=None,
            exception_handlers={self.records.ApiProblem: answered},
        )
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],))
        self.thread.start()
        deadline = time.monotonic() + 20
        while not self.server.started:
            assert time.monotonic() < deadline, "the toy server did not start"
            time.sleep(0.01)

    def authenticate(self, headers: Mapping[str, str]) -> Any:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token not in TOKENS:
            raise self.records.ApiProblem(self.codes.UNAUTHENTICATED, "who is it?")
        return self.records.Principal(name=token, scopes=frozenset(TOKENS[token]))

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        self.socket.close()


def answered(request: Request[Any, Any, Any], problem: Any) -> Response[Any]:
    """The toy's error face; the real one is hand-written too."""
    body = {
        "type": f"https://dragancorp.dev/errors/{problem.code}",
        "status": problem.entry.status,
        "title": problem.entry.title,
        "hint": problem.entry.hint,
        "retryable": problem.entry.retryable,
        "code": problem.code,
        "detail": problem.detail,
        "violations": [one.as_json() for one in problem.violations],
        "facts": problem.facts,
    }
    return Response(body, status_code=problem.entry.status, media_type="application/json", headers=problem.headers)


@pytest.fixture(scope="module")
def house(toy: Path) -> Iterator[House]:
    records = importlib.import_module("toy_contracts.api.records")
    base = importlib.import_module("toy_contracts.api.service").OpsService
    errors = importlib.import_module("toy_contracts.errors").ErrorCode

    class Notes(base):  # type: ignore[misc, valid-type]
        busy = 0
        asked: list[dict[str, Any]]
        closed = False

        async def write_note(self, principal: Any, *, document: dict[str, Any], text: str) -> Any:
            assert json.loads(text) == document
            if self.busy:
                self.busy -= 1
                raise records.ApiProblem(errors.STORAGE_BUSY, "in a moment")
            return records.Answer(status=200, body=document, headers={"X-Written-By": principal.name})

        async def list_notes(self, principal: Any, **arguments: Any) -> Any:
            return records.Answer(body=arguments)

        async def get_note(self, principal: Any, *, note_id: str) -> Any:
            if note_id == "broken":
                return records.Answer(status=201, body=NOTE)
            if note_id == "odd":
                return records.Answer(body={"text": "no lane"})
            return records.Answer(body=NOTE | {"text": note_id})

        async def follow_note(self, principal: Any, *, note_id: str, last_event_id: str | None = None) -> Any:
            async def events() -> AsyncIterator[Any]:
                try:
                    yield records.ServerEvent(data=f'"{note_id} after {last_event_id}"', event="note", id="1")
                    yield records.ServerEvent()
                    yield records.ServerEvent(data="two\nlines")
                    while note_id == "endless":
                        await asyncio.sleep(0.01)
                        yield records.ServerEvent()
                finally:
                    type(self).closed = True

            return records.EventStream(events=events())

        async def get_health(self) -> Any:
            return records.Answer(body="ok")

    running = House(Notes)
    yield running
    running.close()


@pytest.fixture
def ask(house: House) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=house.url) as client:
        yield client


def code_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["code"])


def test_a_request_that_keeps_every_rule_reaches_the_service(ask: httpx.Client):
    response = ask.post("/notes", json=NOTE, headers=WRITER)
    assert (response.status_code, response.json(), response.headers["x-written-by"]) == (200, NOTE, "writer")


def test_a_public_operation_asks_for_no_token_and_may_answer_text(ask: httpx.Client):
    response = ask.get("/healthz")
    assert (response.text, response.headers["content-type"].partition(";")[0]) == ("ok", "text/plain")


def test_nobody_known_is_401(ask: httpx.Client):
    assert code_of(ask.get("/notes/n1"), 401) == "unauthenticated"
    assert code_of(ask.post("/notes", content=b"{", headers={"Authorization": "Bearer x"}), 401) == "unauthenticated"


def test_a_missing_scope_is_403_before_anything_else_is_looked_at(ask: httpx.Client):
    response = ask.post("/notes", content=b"{not json", headers=READER)
    assert code_of(response, 403) == "scope_missing"
    assert response.json()["facts"] == {"missing_scopes": ["notes:write"]}


def test_a_planned_operation_is_501_but_only_for_who_may_call_it(ask: httpx.Client):
    assert code_of(ask.delete("/notes/n1", headers=READER), 501) == "not_implemented"
    assert code_of(ask.delete("/notes/n1"), 401) == "unauthenticated"


@pytest.mark.parametrize(
    ("query", "pointer", "rule"),
    [
        ("limit=0", "/query/limit", "ops-api/v1#/components/parameters/limit/schema/minimum"),
        ("limit=10", "/query/limit", "ops-api/v1#/components/parameters/limit/schema/maximum"),
        ("limit=five", "/query/limit", "ops-api/v1#/components/parameters/limit/schema"),
        ("limit=", "/query/limit", "ops-api/v1#/components/parameters/limit/schema"),
        ("limit=%D9%A3", "/query/limit", "ops-api/v1#/components/parameters/limit/schema"),
        ("limit=1&limit=2", "/query/limit", "ops-api/v1#/components/parameters/limit/schema"),
        ("limit=" + "9" * 5000, "/query/limit", "ops-api/v1#/components/parameters/limit/schema"),
        ("vp_id=CODIE", "/query/vp_id", "common/v1#/$defs/vp_id/pattern"),
        ("loud=yes", "/query/loud", "ops-api/v1#/paths/~1notes/get/parameters/2/schema"),
        ("share=2.5", "/query/share", "ops-api/v1#/paths/~1notes/get/parameters/3/schema/maximum"),
        ("share=nan", "/query/share", "ops-api/v1#/paths/~1notes/get/parameters/3/schema"),
        ("limt=5", "/query/limt", "ops-api/v1#list_notes/parameters"),
        ("a~/b=5", "/query/a~0~1b", "ops-api/v1#list_notes/parameters"),
    ],
    ids=lambda value: value[:30],
)
def test_a_parameter_that_breaks_a_rule_is_400_with_its_place(ask: httpx.Client, query: str, pointer: str, rule: str):
    response = ask.get(f"/notes?{query}", headers=READER)
    assert code_of(response, 400) == "parameter_invalid"
    assert [(one["pointer"], one["rule"]) for one in response.json()["violations"]] == [(pointer, rule)]


def test_a_query_that_is_no_utf8_is_400(ask: httpx.Client):
    assert code_of(ask.get("/notes?vp_id=%ff", headers=READER), 400) == "parameter_invalid"


def test_every_wrong_parameter_is_named(ask: httpx.Client):
    response = ask.get("/notes?limit=0&vp_id=X&what=1", headers=READER)
    assert {one["pointer"] for one in response.json()["violations"]} == {"/query/limit", "/query/vp_id", "/query/what"}


def test_a_path_parameter_is_judged_too(ask: httpx.Client):
    response = ask.get("/notes/-starts-with-a-dash", headers=READER)
    assert code_of(response, 400) == "parameter_invalid"
    assert response.json()["violations"][0]["pointer"] == "/path/note_id"


def test_parameters_arrive_typed_and_with_their_defaults(ask: httpx.Client):
    nothing = {"limit": 5, "vp_id": None, "loud": None, "share": None, "tag": None}
    assert ask.get("/notes", headers=READER).json() == nothing
    query = "limit=9&loud=true&share=0.5&tag=a&tag=b&vp_id=vp.x"
    given = {"limit": 9, "loud": True, "share": 0.5, "tag": ["a", "b"], "vp_id": "vp.x"}
    assert ask.get(f"/notes?{query}", headers=READER).json() == given


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""]
)
def test_a_body_that_is_no_json_by_its_own_word_is_415(ask: httpx.Client, media_type: str):
    response = ask.post("/notes", content=b"{}", headers=WRITER | {"Content-Type": media_type})
    assert code_of(response, 415) == "media_type_unsupported"


def test_a_compressed_body_is_415(ask: httpx.Client):
    headers = WRITER | {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert code_of(ask.post("/notes", content=b"x", headers=headers), 415) == "media_type_unsupported"


def test_a_charset_that_is_utf8_is_fine(ask: httpx.Client):
    headers = WRITER | {"Content-Type": 'Application/JSON; charset="UTF-8"'}
    assert ask.post("/notes", content=json.dumps(NOTE), headers=headers).status_code == 200


@pytest.mark.parametrize("size", [4097, 3_000_000, 12_000_000])
def test_a_body_over_the_limit_is_413(ask: httpx.Client, size: int):
    response = ask.post("/notes", content=b" " * size, headers=WRITER | {"Content-Type": "application/json"})
    assert code_of(response, 413) == "body_too_large"
    assert response.json()["facts"] == {"limit_bytes": 4096}


def test_a_body_without_a_stated_length_is_counted_as_it_arrives(ask: httpx.Client):
    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    response = ask.post("/notes", content=parts(), headers=WRITER | {"Content-Type": "application/json"})
    assert code_of(response, 413) == "body_too_large"


def test_a_body_at_the_limit_is_read(ask: httpx.Client):
    content = json.dumps(NOTE).encode()
    response = ask.post(
        "/notes", content=content + b" " * (4096 - len(content)), headers=WRITER | {"Content-Type": "application/json"}
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "syntax"),
        (b"{", "syntax"),
        (b'{"a": NaN}', "not_a_number"),
        (b'{"a": 1, "a": 1}', "duplicate_key"),
        (b'"\\ud800"', "lone_surrogate"),
        (b"[" * 2000, "too_deep"),
        (b"\xff", "not_utf8"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_body_that_is_no_strict_json_is_400_with_the_reason(ask: httpx.Client, content: bytes, reason: str):
    response = ask.post("/notes", content=content, headers=WRITER | {"Content-Type": "application/json"})
    assert code_of(response, 400) == "json_invalid"
    assert response.json()["facts"]["reason"] == reason


def test_a_document_that_breaks_rules_is_422_with_all_of_them(ask: httpx.Client):
    response = ask.post("/notes", json={"text": 5, "weight": -1, "other": True}, headers=WRITER)
    assert code_of(response, 422) == "document_invalid"
    assert {(one["pointer"], one["rule"]) for one in response.json()["violations"]} == {
        ("", "note/v1#/required"),
        ("", "note/v1#/additionalProperties"),
        ("/text", "note/v1#/properties/text/type"),
        ("/weight", "note/v1#/properties/weight/minimum"),
    }


def test_another_method_is_405_and_names_those_there_are(ask: httpx.Client):
    response = ask.put("/notes", headers=WRITER)
    assert code_of(response, 405) == "method_not_allowed"
    assert response.headers["allow"] == "GET, POST, OPTIONS"


def test_options_names_every_method(ask: httpx.Client):
    response = ask.options("/notes/n1")
    assert (response.status_code, response.headers["allow"]) == (204, "DELETE, GET, OPTIONS")


def test_a_status_that_the_document_does_not_declare_never_leaves_the_server(ask: httpx.Client):
    assert ask.get("/notes/broken", headers=READER).status_code == 500


def test_a_service_that_forgets_an_operation_cannot_be_made(toy: Path):
    base = importlib.import_module("toy_contracts.api.service").OpsService

    class Half(base):  # type: ignore[misc, valid-type]
        async def get_health(self) -> None: ...

    with pytest.raises(TypeError, match="write_note"):
        Half()


def test_something_that_is_no_service_is_refused_by_name(toy: Path):
    controllers = importlib.import_module("toy_contracts.api.controllers")
    with pytest.raises(TypeError, match="object must derive from OpsService"):
        controllers.build_handlers(object(), lambda headers: None)


def client(house: House, token: str = "writer", **more: Any) -> Any:
    return importlib.import_module("toy_contracts.client").Client(more.pop("url", house.url), token, **more)


def test_the_client_speaks_every_served_operation(house: House):
    async def story() -> None:
        async with client(house) as notes:
            written = await notes.write_note(NOTE)
            assert type(written).__name__ == "Note"
            assert written.as_document() == NOTE
            assert (await notes.write_note(written)) == written
            assert (await notes.get_note("n1")).text == "n1"
            listed = await notes.list_notes(limit=3, loud=False, tag=["a", "b"])
            assert (listed["limit"], listed["loud"], listed["tag"]) == (3, False, ["a", "b"])
            assert await notes.get_health() == "ok"
            assert not hasattr(notes, "tear_note")

    asyncio.run(story())


def test_the_client_raises_what_the_server_says(house: House):
    async def story() -> None:
        problem_error = importlib.import_module("toy_contracts.client").ProblemError
        async with client(house) as notes:
            with pytest.raises(problem_error) as refused:
                await notes.write_note({"text": "no lane"})
            problem = refused.value
            assert (problem.status, problem.code, problem.retryable) == (422, house.codes.DOCUMENT_INVALID, False)
            assert problem.violations[0].rule == "note/v1#/required"
            assert problem.hint
            with pytest.raises(problem_error, match="parameter_invalid"):
                await notes.get_note("..%2F..")

    asyncio.run(story())


def test_the_client_repeats_only_what_may_be_repeated(house: House):
    async def story() -> None:
        problem_error = importlib.import_module("toy_contracts.client").ProblemError
        async with client(house) as notes:
            house.service.busy = 2
            assert (await notes.write_note(NOTE | {"idempotency_key": "k1"})).text == "hello"
            house.service.busy = 1
            with pytest.raises(problem_error, match="storage_busy"):
                await notes.write_note(NOTE)
            assert house.service.busy == 0

    asyncio.run(story())


def test_no_server_is_told_as_such(house: House):
    async def story() -> None:
        unreachable = importlib.import_module("toy_contracts.client").ServerUnreachable
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        async with client(house, url=f"http://127.0.0.1:{port}", attempts=2) as notes:
            with pytest.raises(unreachable, match=f"127.0.0.1:{port}"):
                await notes.get_health()

    asyncio.run(story())


def test_an_answer_that_breaks_the_contract_is_told_as_such(house: House):
    async def story() -> None:
        unreadable = importlib.import_module("toy_contracts.client").AnswerUnreadable
        async with client(house) as notes:
            with pytest.raises(unreadable, match="required"):
                await notes.get_note("odd")

    asyncio.run(story())


def test_server_sent_events_arrive_one_by_one(house: House):
    async def story() -> None:
        async with client(house) as notes:
            events = [event async for event in notes.follow_note("n1", last_event_id="7")]
            assert [(one.data, one.event, one.id) for one in events] == [
                ('"n1 after 7"', "note", "1"),
                ("two\nlines", None, "1"),
            ]

    asyncio.run(story())


def test_a_reader_that_leaves_closes_the_stream_of_the_service(house: House):
    async def story() -> None:
        type(house.service).closed = False
        async with client(house) as notes:
            stream = notes.follow_note("endless")
            assert (await anext(stream)).event == "note"
            await stream.aclose()
        deadline = time.monotonic() + 10
        while not type(house.service).closed:
            assert time.monotonic() < deadline, "the service was never told"
            await asyncio.sleep(0.02)

    asyncio.run(story())
