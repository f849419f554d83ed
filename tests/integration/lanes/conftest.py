import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dragancorp.clock import SystemClock
from dragancorp.control_plane import open_store
from dragancorp.registry.port import Store

from .house import House, house_of

IDENTITY = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("UA_", "GIT_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def adapter() -> str:
    """Where the registry lives; a module whose tests say what holds on every database gives both."""
    return "sqlite"


@pytest.fixture
async def store(adapter: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    url = request.getfixturevalue("postgres_url") if adapter == "postgresql" else f"sqlite:///{tmp_path / 'state.db'}"
    store = await open_store(url, SystemClock())
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def link_kind() -> str:
    """How the house's workers reach the registry; see `both_links`."""
    return "store"


@pytest.fixture
async def house(store: Store, tmp_path: Path, link_kind: str) -> AsyncIterator[House]:
    async with house_of(store, SystemClock(), tmp_path / "lane", link_kind) as house:
        yield house


@pytest.fixture
def make_repository() -> Callable[[Path], Path]:
    """A function that makes a git repository with one commit."""

    def make(folder: Path) -> Path:
        folder.mkdir()
        (folder / "notes.txt").write_text("first\n")
        for words in (("init", "-q"), ("add", "-A"), (*IDENTITY, "commit", "-q", "-m", "Notes")):
            subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
        return folder

    return make
