"""The API under a path of somebody else's application, whose lifespan opens and closes the plane."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar
from starlette.applications import Starlette

from dragancorp.control_plane import ControlPlane
from dragancorp.embedded_plane import EmbeddedPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.faces import DragancorpPlugin, asgi
from dragancorp.gateway.turns import Turn

from .conftest import LANES, OPERATOR, assert_problem, envelope, tokens

pytestmark = pytest.mark.anyio

HOSTS = [
    pytest.param(Starlette, "/dragan", id="Starlette"),
    pytest.param(Starlette, "/api", id="Starlette, a prefix that the API's own paths begin with"),
    pytest.param(FastAPI, "/deep/er", id="FastAPI"),
    pytest.param(Litestar, "/dragan", id="Litestar"),
    pytest.param(Litestar, "", id="Litestar, at its root"),
]


def embedded(tmp_path: Path) -> EmbeddedPlane:
    """A plane without workers: what it is given waits."""
    return EmbeddedPlane(f"sqlite:///{tmp_path}/state.db", lanes=LANES, serve_lanes=False)


def hosting(host: Any, plane: EmbeddedPlane, prefix: str) -> tuple[Any, Any]:
    """An application of this kind around the plane, and a function that makes its lifespan."""
    if host is Litestar:
        app = Litestar(plugins=[DragancorpPlugin(plane, path=prefix or "/", tokens=tokens())], openapi_config=None)
        return app, app.lifespan
    app = host(lifespan=plane.lifespan)
    app.mount(prefix, asgi(plane, tokens=tokens()))
    return app, lambda: app.router.lifespan_context(app)


@contextlib.asynccontextmanager
async def calling(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://host", headers=headers) as http:
        yield http


@pytest.mark.parametrize(("host", "prefix"), HOSTS)
async def test_every_address_that_the_api_tells_is_one_that_its_caller_can_ask_for(
    host: Any, prefix: str, tmp_path: Path
) -> None:
    app, lifespan = hosting(host, embedded(tmp_path), prefix)
    async with lifespan(), calling(app) as http:
        made = await http.post(f"{prefix}/api/v1/missions", json=envelope())
        assert made.status_code == 201
        assert (await http.get(made.headers["Location"])).json()["mission_id"] == made.json()["mission_id"]
        (server,) = (await http.get(f"{prefix}/openapi.json")).json()["servers"]
        assert server["url"] == f"{prefix}/"
        problem = assert_problem(await http.get(f"{prefix}/api/v1/missions/nothing"), 404, "mission_unknown")
        assert problem["instance"] == f"{prefix}/api/v1/missions/nothing"
        assert (await http.get(f"{prefix}/api/v1/missions/")).json() == (
            await http.get(f"{prefix}/api/v1/missions")
        ).json()


@pytest.mark.parametrize("host", [Starlette, FastAPI])
async def test_the_bare_prefix_is_redirected_to_where_the_api_answers(host: Any, tmp_path: Path) -> None:
    app, lifespan = hosting(host, embedded(tmp_path), "/dragan")
    async with lifespan(), calling(app) as http:
        redirected = await http.get("/dragan")
        assert (redirected.status_code, redirected.headers["Location"]) == (307, "http://host/dragan/")
        signed_out = await http.get("/dragan/")
        assert (signed_out.status_code, signed_out.headers["Location"]) == (303, "/dragan/sign-in")


@pytest.mark.parametrize(("host", "prefix"), HOSTS[1:4])
async def test_the_plane_is_open_while_its_host_runs_and_answers_503_outside_of_that(
    host: Any, prefix: str, tmp_path: Path
) -> None:
    plane = embedded(tmp_path)
    app, lifespan = hosting(host, plane, prefix)
    async with calling(app) as http:
        for _ in range(2):  # an application under test is started more than once
            assert not plane.is_open
            refused = await http.get(f"{prefix}/readyz")
            assert assert_problem(refused, 503, "plane_not_open")["retryable"] is True
            assert refused.headers["Retry-After"]
            async with lifespan():
                assert plane.is_open
                assert (await http.get(f"{prefix}/readyz")).status_code == 200
    async with await ControlPlane.open(f"sqlite:///{tmp_path}/state.db", lanes=LANES, serve_lanes=False):
        pass  # the file is free again


async def test_the_start_up_hooks_and_the_lifespan_of_the_host_find_the_plane_open(tmp_path: Path) -> None:
    plane, seen = embedded(tmp_path), []

    async def look(_: Litestar) -> None:
        seen.append(plane.is_open)

    @contextlib.asynccontextmanager
    async def own(app: Litestar) -> AsyncIterator[None]:
        await look(app)
        yield
        await look(app)

    app = Litestar(plugins=[DragancorpPlugin(plane)], lifespan=[own], on_startup=[look], openapi_config=None)
    async with app.lifespan():
        pass
    assert seen == [True, True, True]


async def test_a_plane_that_cannot_be_opened_fails_the_start_up_and_leaves_nothing_open(tmp_path: Path) -> None:
    plane = EmbeddedPlane(f"sqlite:///{tmp_path}/state.db", lanes=tmp_path / "nothing.yaml")
    _, lifespan = hosting(Starlette, plane, "/dragan")
    with pytest.raises(DraganError) as refused:
        async with lifespan():
            pass
    assert refused.value.code is ErrorCode.LANES_FILE_INVALID
    assert not plane.is_open


async def test_a_turn_before_start_up_is_refused_and_no_password_is_told() -> None:
    plane = EmbeddedPlane("postgresql://me:secret@host/base", lanes=LANES)

    async def agent(_: Turn) -> AsyncIterator[str]:
        yield "never"

    with pytest.raises(DraganError, match="host/base") as refused:
        await anext(plane.delegate(Turn(text="hello", session_id="s1"), primary=agent))
    assert refused.value.code is ErrorCode.PLANE_NOT_OPEN
    assert "secret" not in str(refused.value)
