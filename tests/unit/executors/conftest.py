import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dragancorp.executors import git
from dragancorp.executors.protocol import ProcessRunner
from dragancorp.lanes.guarded import Guard

# A tiny project whose one test fails until `add` adds.
ADDER = "def add(a, b):\n    return a - b\n"
TEST = """import unittest

from adder import add


class AddTest(unittest.TestCase):
    def test_two_and_two_make_four(self):
        self.assertEqual(add(2, 2), 4)
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _git_identity(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A git that knows nobody's configuration."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Tester\n\temail = tester@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a failing test."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "adder.py").write_text(ADDER)
    (folder / "test_adder.py").write_text(TEST)
    (folder / ".gitignore").write_text("__pycache__/\n")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "An adder that does not add")):
        git.run(folder, *words)
    return folder


@pytest.fixture
def in_git() -> Callable[..., str]:
    """A function (folder, words...) that runs git."""
    return git.run


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[ProcessRunner]:
    async with Guard(lock_path=tmp_path / "lock", ttl_seconds=60) as guard:
        yield guard
