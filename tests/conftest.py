import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import throwaway_postgres

from dragancorp.clock import SystemClock
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.postgres import PostgresStore
from dragancorp.registry.tables import METADATA

# Whoever starts the tests in the background hands on an interrupt that is ignored, and every process started here would
# ignore it too: what the tests send has to arrive.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server, one for all workers of a test run."""
    with throwaway_postgres.server(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))[:12]) as url:
        yield url


@pytest.fixture(scope="session")
def _migrated_database(postgres_server: str) -> Iterator[str]:
    with throwaway_postgres.database(postgres_server) as url:

        async def migrate() -> None:
            await (await PostgresStore.open(url, clock=SystemClock(), scheduler=PriorityScheduler())).close()

        with ThreadPoolExecutor(1) as beside:  # whoever asks first may have a loop of its own running
            beside.submit(asyncio.run, migrate()).result()
        yield url


@pytest.fixture
def postgres_url(_migrated_database: str) -> str:
    """The URL of a database with the schema and nothing in it."""
    with psycopg.connect(_migrated_database) as connection:
        for table in reversed(METADATA.sorted_tables):  # quicker than making a database anew
            connection.execute(f"DELETE FROM {table.name}")
    return _migrated_database


@pytest.fixture
def postgres_database(postgres_server: str) -> Iterator[str]:
    """The URL of a database of the test's own, with nothing in it, not even the schema."""
    with throwaway_postgres.database(postgres_server) as url:
        yield url
