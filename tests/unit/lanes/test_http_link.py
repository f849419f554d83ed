"""The worker's link over HTTP, before servers that are away, have changed, or are no plane."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lanes.http_link import LARGEST_ARTIFACT_BYTES, HttpLink
from dragancorp.lanes.link import Claimed, Lease
from dragancorp_contracts.client import Client, ServerUnreachable

pytestmark = pytest.mark.anyio
LEASE = Lease(vp_id="vp.a", owner="o-1", vp_runtime_id="r-1", epoch=3)
POLICY = {"lease_ttl": 3, "heartbeat_interval": 1, "cancel_deadline": 5, "idle_limit": 9, "parallel_missions": 2}
HOLDING = {"session": {"status": "active"}, "policy": POLICY, "held": [], "mark": "m"}
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"status": status, "code": code, "title": code, "detail": "no"})


def link_of(answer: Answer, *addresses: tuple[str, str | None]) -> HttpLink:
    """A link to a server that answers so; each look finds the next address, and the last one again and again."""
    left = list(addresses or [("http://plane", "t-1")])

    def make(url: str, token: str | None) -> Client:
        return Client(url, token, attempts=1, transport=httpx.MockTransport(answer))

    return HttpLink(lambda: left.pop(0) if len(left) > 1 else left[0], make)


async def refusal(link: HttpLink) -> DraganError:
    with pytest.raises(DraganError) as refused:
        await link.renew(LEASE)
    return refused.value


async def test_a_plane_that_was_started_anew_is_found_with_its_new_token() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["Authorization"] != "Bearer t-2":
            return problem(401, "unauthenticated")
        return httpx.Response(200, json=HOLDING)

    link = link_of(answer, ("http://plane", "t-1"), ("http://plane", "t-2"))
    assert (await link.renew(LEASE)).policy.parallel_missions == 2
    await link.aclose()


async def test_a_plane_that_came_back_elsewhere_is_found_there_by_the_next_call() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "old":
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json=HOLDING)

    link = link_of(answer, ("http://old", None), ("http://new", None))
    assert (await refusal(link)).code is ErrorCode.SERVER_UNREACHABLE
    assert (await link.renew(LEASE)).mark == "m"
    await link.aclose()


@pytest.mark.parametrize(
    ("answered", "code"),
    [
        (problem(409, "stale_epoch"), ErrorCode.STALE_EPOCH),
        (problem(503, "storage_busy"), ErrorCode.STORAGE_BUSY),
        (problem(401, "unauthenticated"), ErrorCode.SERVER_UNREACHABLE),
        (problem(403, "scope_missing"), ErrorCode.SERVER_UNREACHABLE),
        (httpx.Response(502, text="<h1>Bad gateway</h1>"), ErrorCode.SERVER_UNREACHABLE),
        (httpx.Response(200, text="<h1>Welcome</h1>"), ErrorCode.SERVER_UNREACHABLE),
        (httpx.Response(404, text="nothing here"), ErrorCode.INTERNAL_ERROR),
    ],
    ids=["refused", "busy", "token gone", "scope gone", "proxy", "portal", "no plane"],
)
async def test_what_a_holder_is_answered_is_what_the_registry_would_say_or_a_plane_that_is_away(
    answered: httpx.Response, code: ErrorCode
) -> None:
    link = link_of(lambda request: answered)
    assert (await refusal(link)).code is code
    await link.aclose()


async def test_who_is_not_let_in_hears_so_when_it_asks_for_the_lease() -> None:
    link = link_of(lambda request: problem(403, "scope_missing"))
    with pytest.raises(DraganError) as refused:
        await link.acquire("vp.a", "o-1", "r-1")
    assert refused.value.code is ErrorCode.SCOPE_MISSING
    await link.aclose()


async def test_a_plane_that_nothing_names_is_one_that_cannot_be_reached() -> None:
    def nowhere() -> tuple[str, str | None]:
        raise ServerUnreachable("no plane.json")

    link = HttpLink(nowhere, lambda url, token: Client(url, token))
    assert (await refusal(link)).code is ErrorCode.SERVER_UNREACHABLE


async def test_a_wait_is_asked_for_in_parts_that_connections_live_through() -> None:
    asked: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(200, json=HOLDING)

    link = link_of(answer)
    await link.renew(LEASE, wait=75.0, seen="m")
    assert asked == [{"lease_owner": "o-1", "lease_epoch": 3, "wait": 20.0, "seen": "m"}]
    await link.aclose()


async def test_a_file_over_the_limit_is_not_sent_and_one_that_is_gone_is_no_plane_away(tmp_path: Path) -> None:
    link = link_of(lambda request: httpx.Response(200, json={}))
    claimed = Claimed(mission_id="m", vp_id="vp.a", attempt=1, lease_epoch=3, resume=False, usage={}, envelope={})
    reference = {"name": "x", "sha256": "0" * 64, "size_bytes": LARGEST_ARTIFACT_BYTES + 1}
    for size, code in ((LARGEST_ARTIFACT_BYTES + 1, ErrorCode.BODY_TOO_LARGE), (1, ErrorCode.DOCUMENT_INVALID)):
        with pytest.raises(DraganError) as refused:
            await link.upload(LEASE, claimed, tmp_path / "x", reference | {"size_bytes": size})
        assert refused.value.code is code
    await link.aclose()
