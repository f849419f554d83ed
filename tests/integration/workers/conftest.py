from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .crew import Crew, crew_of


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def lease_ttl() -> float:
    """Seconds; overridden by the tests that need another."""
    return 2.0


@pytest.fixture
async def crew(tmp_path: Path, lease_ttl: float) -> AsyncIterator[Crew]:
    async with crew_of(tmp_path, lease_ttl) as crew:
        yield crew
