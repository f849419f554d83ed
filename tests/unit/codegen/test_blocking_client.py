"""The blocking client says and does what the asynchronous one does; both come from one template."""

import importlib
import inspect
import socket
import time
from typing import Any

import pytest

from .test_http_face import NOTE, House, house  # noqa: F401 - the fixture


def blocking(served: House, token: str = "writer", **more: Any) -> Any:
    return importlib.import_module("toy_contracts.client").SyncClient(more.pop("url", served.url), token, **more)


def test_it_speaks_every_served_operation(house: House) -> None:  # noqa: F811
    with blocking(house) as notes:
        written = notes.write_note(NOTE)
        assert type(written).__name__ == "Note"
        assert notes.write_note(written) == written
        assert notes.list_notes(limit=3, loud=False, tag=["a", "b"])["tag"] == ["a", "b"]
        assert notes.get_health() == "ok"
        assert not hasattr(notes, "tear_note")


def test_it_raises_what_the_server_says(house: House) -> None:  # noqa: F811
    problem_error = importlib.import_module("toy_contracts.client").ProblemError
    with blocking(house) as notes, pytest.raises(problem_error) as refused:
        notes.write_note({"text": "no lane"})
    assert (refused.value.status, refused.value.code) == (422, house.codes.DOCUMENT_INVALID)


def test_it_repeats_only_what_may_be_repeated(house: House) -> None:  # noqa: F811
    problem_error = importlib.import_module("toy_contracts.client").ProblemError
    with blocking(house) as notes:
        house.service.busy = 2
        assert notes.write_note(NOTE | {"idempotency_key": "k1"}).text == "hello"
        house.service.busy = 1
        with pytest.raises(problem_error, match="storage_busy"):
            notes.write_note(NOTE)


def test_server_sent_events_arrive_one_by_one(house: House) -> None:  # noqa: F811
    with blocking(house) as notes:
        events = list(notes.follow_note("n1", last_event_id="7"))
    assert [(one.data, one.event, one.id) for one in events] == [
        ('"n1 after 7"', "note", "1"),
        ("two\nlines", None, "1"),
    ]


def test_a_server_that_says_nothing_is_given_up_after_the_timeout(house: House) -> None:  # noqa: F811
    unreachable = importlib.import_module("toy_contracts.client").ServerUnreachable
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with blocking(house, url=url, timeout=0.2, attempts=2) as notes, pytest.raises(unreachable):
            notes.get_health()
        assert time.monotonic() - started < 10


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    from dragancorp_contracts.client import Client, SyncClient

    def methods(kind: type) -> dict[str, str]:
        return {
            name: str(inspect.signature(found).parameters).replace("AsyncIterable", "Iterable")
            for name, found in vars(kind).items()
            if not name.startswith("_")
        }

    assert methods(Client) == methods(SyncClient)
    assert len(methods(Client)) > 10
