"""What the database itself refuses, whoever writes: both adapters' CHECKs and triggers."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .world import Tables, World

pytestmark = pytest.mark.anyio
Change = Callable[..., None]


@pytest.fixture
def change(adapter: str, request: pytest.FixtureRequest) -> Change:
    """A function that runs a statement, with `?` for its values, on a connection of its own."""
    if adapter == "postgresql":
        url: str = request.getfixturevalue("postgres_url")

        def on_postgres(statement: str, *values: Any) -> None:
            with psycopg.connect(url) as connection:
                connection.execute(statement.replace("?", "%s"), values)

        return on_postgres
    path: Path = request.getfixturevalue("tmp_path") / "state.db"

    def on_sqlite(statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement, values)
            connection.commit()

    return on_sqlite


@pytest.fixture
async def ended(world: World) -> str:
    """The id of a completed mission."""
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.complete(row)
    return row.mission_id


REFUSED = (sqlite3.IntegrityError, psycopg.IntegrityError)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vp_missions SET state = 'queued'",
        "UPDATE vp_missions SET state = 'cancelled'",
        "UPDATE vp_missions SET attempt = attempt + 1",
        "UPDATE vp_missions SET usage = '{\"llm_calls\": 0}'",
        "UPDATE vp_missions SET completed_via = 'primary'",
        "UPDATE vp_missions SET finished_at = NULL",
        "UPDATE vp_missions SET assigned = '{}'",
        "UPDATE vp_missions SET parked = true",
        "UPDATE vp_mission_events SET document = '{}'",
        "UPDATE vp_mission_events SET sequence = sequence + 10",
        "UPDATE vp_session_events SET document = '{}'",
        "UPDATE vp_sessions SET lease_epoch = lease_epoch - 1",
        "UPDATE vp_sessions SET status = 'asleep'",
        "UPDATE vp_outbox SET status = 'lost'",
    ],
)
async def test_the_database_itself_refuses(ended: str, change: Change, statement: str) -> None:
    change(
        "INSERT INTO vp_outbox (mission_id, endpoint, sequence, status, attempts, next_attempt_at, body,"
        " created_at) VALUES (?, 'https://x.example', 1, 'undelivered', 0, '', '{}', '')",
        ended,
    )
    with pytest.raises(REFUSED):
        change(statement)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "sleeping"),
        ("kind", "imaginary"),
        ("holder", "nobody"),
        ("holder", "lane"),
        ("reason_code", "bad_mood"),
        ("attempt", -1),
        ("failures", -1),
    ],
)
async def test_the_database_stores_no_mission_with(
    ended: str, change: Change, tables: Tables, column: str, value: object
) -> None:
    (row,) = tables("SELECT * FROM vp_missions")
    row |= {"position": 99_999, "mission_id": "m-99", "idempotency_key": "k-99", column: value}
    places = ", ".join("?" * len(row))
    with pytest.raises(REFUSED, match=r"(?i)check"):
        change(f"INSERT INTO vp_missions ({', '.join(row)}) VALUES ({places})", *row.values())


async def test_an_attempt_never_falls(world: World, change: Change) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    await runtime.claim_one()
    with pytest.raises(REFUSED, match="never falls"):
        change("UPDATE vp_missions SET attempt = 0")
