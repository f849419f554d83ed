"""What the server says of itself: its document, its human page, its schemas."""

import asyncio
from pathlib import Path

import httpx
import pytest

from dragancorp.control_plane import ControlPlane
from dragancorp.faces import asgi
from dragancorp_contracts import SPECS, resources
from dragancorp_contracts.client import SyncClient

from .conftest import LANES, serving, tokens

pytestmark = pytest.mark.anyio


async def test_page_and_schemas_are_open_to_everybody(tmp_path: Path) -> None:
    async with (
        await ControlPlane.open(f"sqlite:///{tmp_path}/state.db", lanes=LANES) as plane,
        serving(asgi(plane, tokens=tokens())) as url,
        httpx.AsyncClient(base_url=url) as http,
    ):
        page = await http.get("/docs")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "dispatch_mission" in page.text
        for name, version in SPECS.items():
            schema = await http.get(f"/schemas/{name}/{version}")
            assert schema.status_code == 200
            assert schema.headers["content-type"].startswith("application/schema+json")
            assert schema.json() == resources.read_document(name, version)
        unknown = await http.get("/schemas/no-such-contract/v1")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "route_unknown")
        climbing = await http.get("/schemas/..%2Fcommon/v1")
        assert climbing.status_code in {400, 404}


async def test_the_blocking_client_reads_them_too(tmp_path: Path) -> None:
    def story(url: str) -> None:
        with SyncClient(url) as client:
            assert client.get_docs().startswith("<!doctype html>")
            assert client.get_schema("common", "v1")["title"] == "Common"
            assert client.get_health()["status"] == "ok"

    async with (
        await ControlPlane.open(f"sqlite:///{tmp_path}/state.db", lanes=LANES) as plane,
        serving(asgi(plane, tokens=tokens())) as url,
    ):
        await asyncio.to_thread(story, url)
