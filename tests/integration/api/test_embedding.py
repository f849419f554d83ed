"""The API inside somebody else's application."""

from pathlib import Path

import httpx
import pytest
from litestar import Litestar, get

from dragancorp.control_plane import ControlPlane
from dragancorp.faces import DragancorpPlugin, asgi
from dragancorp_contracts.client import Client, ProblemError

from .conftest import LANES, OPERATOR, envelope, serving, tokens

pytestmark = pytest.mark.anyio


@get("/hello")
async def hello() -> str:
    return "mine"


async def test_the_plugin_serves_the_operations_beside_the_application_s_own_routes(tmp_path: Path) -> None:
    async with await ControlPlane.open(f"sqlite:///{tmp_path}/state.db", lanes=LANES) as plane:
        app = Litestar(route_handlers=[hello], plugins=[DragancorpPlugin(plane, tokens=tokens())], openapi_config=None)
        async with serving(app) as url, httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/hello")).text == "mine"
            refused = await http.get("/api/v1/missions")
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
            headers = {"Authorization": f"Bearer {OPERATOR}"}
            assert (await http.get("/api/v1/missions", headers=headers)).json()["missions"] == []


async def test_without_any_token_only_the_public_operations_answer(tmp_path: Path) -> None:
    async with await ControlPlane.open(f"sqlite:///{tmp_path}/state.db", lanes=LANES) as plane:
        async with serving(asgi(plane)) as url, httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/api/v1/missions", headers={"Authorization": "Bearer x"})).status_code == 401


async def test_the_tokens_of_the_environment_open_the_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_OPS_TOKEN", "from-the-environment")
    async with await ControlPlane.open(f"sqlite:///{tmp_path}/state.db", lanes=LANES) as plane:
        async with serving(asgi(plane)) as url, httpx.AsyncClient(base_url=url) as http:
            headers = {"Authorization": "Bearer from-the-environment"}
            assert (await http.get("/api/v1/vp/sessions", headers=headers)).status_code == 200


async def test_the_generated_client_speaks_to_it_and_raises_what_is_refused(tmp_path: Path) -> None:
    async with await ControlPlane.open(f"sqlite:///{tmp_path}/state.db", lanes=LANES) as plane:
        async with serving(asgi(plane, tokens=tokens())) as url, Client(url, OPERATOR) as client:
            record = await client.dispatch_mission(envelope())
            assert (await client.get_mission(record["mission_id"]))["mission_id"] == record["mission_id"]
            with pytest.raises(ProblemError) as refused:
                await client.get_mission("nothing")
            assert refused.value.code == "mission_unknown"
