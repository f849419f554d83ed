"""The examples of docs/how-to/embedding, run as they stand."""

import asyncio
import importlib.util
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from dragancorp.control_plane import ControlPlane

from .conftest import serving

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[3] / "docs/how-to/embedding"
MEANT = {"text": "CODIE, hello", "session_id": "s1"}


def example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example as a module; its registry is made in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UA_OPS_TOKEN", "operator")
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_no_example_is_longer_than_sixty_lines() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    assert set(lengths) == {"asyncio_gateway.py", "litestar_gateway.py", "fastapi_gateway.py"}
    assert max(lengths.values()) < 60


async def test_the_asyncio_gateway_answers_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = example("asyncio_gateway", tmp_path, monkeypatch)
    lines = iter(["hello\n", "CODIE, hello\n", "capital\n", ""])
    monkeypatch.setattr(module.sys, "stdin", type("Lines", (), {"readline": staticmethod(lambda: next(lines))}))
    await module.main()
    answered = [line for line in capsys.readouterr().out.splitlines() if "action=" not in line]  # beside the log
    assert answered[0] == "you said 'hello'"
    assert answered[1] == "delegated_to_coder_primary"
    assert answered[-2:] == ["coder_primary_completed", "you said 'capital'"]


@pytest.mark.parametrize("name", ["litestar_gateway", "fastapi_gateway"])
async def test_the_web_gateways_answer_turns_and_serve_the_api_and_a_caller_who_hangs_up_leaves_nothing_running(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = example(name, tmp_path, monkeypatch)
    async with serving(module.app) as url, httpx.AsyncClient(base_url=url, timeout=30) as http:
        told = [line async for line in said(http, {"text": "hello", "session_id": "s1"})]
        assert told == [{"answer": "you said 'hello'"}]
        told = [line async for line in said(http, MEANT)]
        assert (told[0]["kind"], told[-1]["type"]) == ("delegated", "coder_primary_completed")
        told = [line async for line in said(http, MEANT | {"run": ["rm", "x"]})]
        assert [line["code"] for line in told] == ["command_not_allowed"]
        async for line in said(http, MEANT | {"run": ["sleep", "20.012"]}):
            if line.get("type") == "coder_primary_progress":
                break
        async with asyncio.timeout(30):
            while (await missions(http))[0]["state"] != "cancelled":
                await asyncio.sleep(0.05)
        assert [mission["state"] for mission in await missions(http)] == ["cancelled", "completed"]
    plane: ControlPlane | None = module.plane._plane
    assert plane is None


async def said(http: httpx.AsyncClient, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The lines that answer one turn."""
    async with http.stream("POST", "/turns", json=body) as response:
        async for line in response.aiter_lines():
            yield json.loads(line)


async def missions(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Every mission, newest first, over the API beside the gateway's own route."""
    answer = await http.get("/dragan/api/v1/missions", headers={"Authorization": "Bearer operator"})
    found: list[dict[str, Any]] = answer.json()["missions"]
    return found
