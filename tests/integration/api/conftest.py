import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from dragancorp.control_plane import ControlPlane
from dragancorp.faces import asgi
from dragancorp.tokens_file import Token, TokenBook, digest_of, operator_token
from dragancorp_conformance.response_judge import ResponseJudge

CODER = "vp.coder.primary"
OTHER = "vp.research"
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
OPERATOR = "operator-secret"
READER = "reader-secret"
BOUND = "bound-secret"
EXPIRED = "expired-secret"
LANES = [
    {
        "vp_id": CODER,
        "flag": "CODER_VP",
        "aliases": ["CODIE"],
        "cancel_deadline": 10,
        "executor": {"type": "automation", "allow": ["sh", "echo", "sleep"], "cancel_grace_seconds": 1},
    },
    # Nobody serves this one: its flag is not set, and what it is given waits.
    {"vp_id": OTHER, "flag": "RESEARCH_VP", "queue_limit": 2, "executor": {"type": "automation", "allow": ["echo"]}},
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def ambient_settings_are_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("UA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UA_ENABLE_CODER_VP", "1")


def tokens() -> TokenBook:
    """An operator, one that may only read one lane's missions, one bound to a source, and an expired one."""
    from datetime import UTC, datetime

    return TokenBook(
        [
            operator_token(OPERATOR),
            Token(
                name="reader",
                sha256=digest_of(READER),
                scopes=frozenset({"missions:read"}),
                vp_ids=frozenset({OTHER}),
            ),
            Token(
                name="gateway-7",
                sha256=digest_of(BOUND),
                scopes=frozenset({"missions:read", "missions:write"}),
                source_instance_id="gateway-7",
            ),
            Token(
                name="old",
                sha256=digest_of(EXPIRED),
                scopes=frozenset({"missions:read"}),
                expires_at=datetime(2020, 1, 1, tzinfo=UTC),
            ),
        ]
    )


class Api:
    """A client of a served plane; every answer it gets is judged by the operations document."""

    def __init__(self, plane: ControlPlane, url: str) -> None:
        self.plane = plane
        self.url = url
        self._judge = ResponseJudge()
        self.http = httpx.AsyncClient(base_url=url, timeout=30)

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = OPERATOR,
        headers: Mapping[str, str] | None = None,
        **how: Any,
    ) -> httpx.Response:
        """One request. Fails when the answer breaks the contract."""
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        response = await self.http.request(method, path, headers=sent, **how)
        findings = self._judge.findings(
            method, response.url.path, response.status_code, response.headers, response.content
        )
        assert findings == [], (method, path, response.status_code, findings)
        return response

    async def dispatch(self, **members: Any) -> httpx.Response:
        """Dispatch a mission made by `envelope`."""
        return await self.call("POST", "/api/v1/missions", json=envelope(**members))

    async def until(self, mission_id: str, *states: str) -> dict[str, Any]:
        """The mission once it stands in one of the states."""
        async with asyncio.timeout(30):
            while True:
                record: dict[str, Any] = (await self.call("GET", f"/api/v1/missions/{mission_id}")).json()
                if record["state"] in states:
                    return record
                await asyncio.sleep(0.05)


def envelope(*commands: str, **members: Any) -> dict[str, Any]:
    """A valid envelope for the served lane; each command is one step of a shell-free automation mission."""
    steps = [{"run": command.split()} for command in commands or ("echo hello",)]
    return {
        "vp_id": CODER,
        "mission_type": "automation",
        "objective": "Say hello",
        "idempotency_key": os.urandom(8).hex(),
        "extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": steps}}],
        **members,
    }


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem in an answer, once status and code are as expected."""
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert problem["hint"]
    return problem


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI application on a loopback socket; answers its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(20):
            while not server.started:
                await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def api(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A plane with a served lane behind a real socket."""
    async with await ControlPlane.open(f"sqlite:///{tmp_path}/state.db", lanes=LANES) as plane:
        async with serving(asgi(plane, tokens=tokens())) as url:
            api = Api(plane, url)
            async with api.http:
                yield api
