import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dragancorp.clock import SystemClock
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.sqlite import SqliteStore

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
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "state.db", clock=SystemClock(), scheduler=PriorityScheduler())
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def link_kind() -> str:
    """How the house's workers reach the registry; see `both_links`."""
    return "store"


@pytest.fixture
async def house(store: SqliteStore, tmp_path: Path, link_kind: str) -> AsyncIterator[House]:
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
