import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from dragancorp import control_plane
from dragancorp.control_plane import ControlPlane
from dragancorp.rollout.policy import standard_policy
from dragancorp.settings import Settings
from dragancorp_contracts.lifecycle import SessionState

from .gateway import Agent, CutLink, Gateway, ShiftedClock, lane

Opener = Callable[..., Awaitable[Gateway]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No `UA_` variable but the one that switches the lane on; and links that can be cut."""
    for name in [name for name in os.environ if name.startswith("UA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UA_ENABLE_CODER_VP", "1")
    monkeypatch.setattr(CutLink, "cut", False)
    monkeypatch.setattr(control_plane, "StoreLink", CutLink)


@pytest.fixture
def adapter() -> str:
    """Where the registry lives; a module whose tests say what holds on every database gives both."""
    return "sqlite"


@pytest.fixture
def database_url(adapter: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if adapter == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path / 'state.db'}"


def patient_policy(folder: Path, **rollback: Any) -> Path:
    """A policy under which no number of fallbacks, which many a test makes on purpose, rolls a lane back."""
    document = dict(standard_policy().document)
    document["rollback"] = {
        **document["rollback"],
        "min_missions": 500,
        "consecutive_lane_failures": 500,
        **rollback,
    }
    path = folder / "policy.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
async def open_gateway(database_url: str, tmp_path: Path) -> AsyncIterator[Opener]:
    """A function (lanes, agent, serve_lanes, **members of CODIE's lane) that opens a plane."""
    async with AsyncExitStack() as opened:

        async def open_one(
            lanes: Sequence[Mapping[str, Any]] | None = None,
            *,
            agent: Agent | None = None,
            serve_lanes: bool = True,
            policy: Path | None = None,
            **members: Any,
        ) -> Gateway:
            configured = (lane(**members),) if lanes is None else lanes
            clock = ShiftedClock()
            plane = await ControlPlane.open(
                database_url,
                lanes=configured,
                data=tmp_path,
                serve_lanes=serve_lanes,
                clock=clock,
                settings=Settings(instance_id="gateway-1", rollout_policy_file=policy or patient_policy(tmp_path)),
            )
            opened.push_async_callback(plane.close)
            gateway = Gateway(plane, agent or Agent(), clock)
            if serve_lanes:
                for one in plane.lanes.values():
                    if one.flags.on:
                        await gateway.lane_is(SessionState.ACTIVE, one.vp_id)
            return gateway

        yield open_one


@pytest.fixture
async def gateway(open_gateway: Opener) -> Gateway:
    """CODIE at work, the usual configuration."""
    return await open_gateway()
