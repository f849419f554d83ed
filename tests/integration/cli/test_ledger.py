"""`dragan ledger`: asked of a control plane that runs, and of a database that nobody owns any more."""

import sqlite3
from contextlib import closing
from typing import Any


def test_a_ledger_is_verified_by_its_owner_and_without_one(alone: Any, start_plane: Any, wait_until: Any) -> None:
    plane = start_plane(UA_ENABLE_CODER_VP="1")
    mission_id = alone.dispatch("echo x")
    wait_until(lambda: alone.state(mission_id) == "completed")

    asked = alone("ledger", "verify", "--json")
    archived = alone.ask("ledger", "archive", "--older-than", "30d")

    assert asked.exit_code == 0, asked.err
    assert (asked.json["missions"], asked.json["sessions"], asked.json["findings"]) == (1, 1, [])
    assert archived == {"missions": 0, "entries": 0, "archives": []}

    assert plane.stop() == 0
    direct = alone("ledger", "verify")
    assert direct.exit_code == 0, direct.err
    assert "nothing differs" in direct.err

    with closing(sqlite3.connect(plane.data / "state.db")) as database, database:
        database.execute("DROP TRIGGER vp_missions_terminal")
        database.execute("UPDATE vp_missions SET state = 'failed'")
    changed = alone("ledger", "verify")
    assert changed.exit_code == 1
    assert f"mission {mission_id}: state is failed, the ledger says completed [row_differs]" in changed.out


def test_an_age_that_keys_must_outlive_is_wrong_usage(alone: Any) -> None:
    assert alone("ledger", "archive", "--older-than", "29d").exit_code == 2
    assert alone("ledger", "archive", "--older-than", "a month").exit_code == 2


def test_without_a_database_and_without_a_server_there_is_nothing_to_verify(alone: Any) -> None:
    assert alone("ledger", "verify", "--json").exit_code == 3
