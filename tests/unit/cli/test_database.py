"""`dragan database` and what `dragan doctor` says of the database."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dragancorp.cli import checks
from dragancorp.cli.check import Status
from dragancorp.cli.database_url import database_url, shown
from dragancorp.registry import migrations
from dragancorp.registry.migrations import Phase, Revision, revisions

NEWEST = revisions()[-1].name
LATER = '''"""Older processes read this."""
revision, down_revision, phase = "9001", {newest!r}, "after_deploy"
def upgrade(): pass
'''


@pytest.mark.parametrize(
    ("url", "visible"),
    [
        ("postgresql://simone:s3cret@db.example:5432/missions", "postgresql://simone@db.example:5432/missions"),
        ("postgresql://db.example/missions?password=s3cret&sslmode=require", "postgresql://db.example/missions"),
        ("postgres://a:p%40ss@[::1]/x", "postgres://a@[::1]/x"),
        ("postgresql:///missions?host=/run/postgresql", "postgresql:///missions"),
        ("sqlite:///state.db", "sqlite:///state.db"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, visible: str) -> None:
    assert shown(url) == visible


def test_the_database_is_the_environments_or_the_data_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database_url(Path("there")) == "sqlite:///there/state.db"
    monkeypatch.setenv("UA_RUNTIME_DB_URL", "postgresql://db.example/missions")
    assert database_url(Path("there")) == "postgresql://db.example/missions"


def test_a_file_goes_all_the_way_since_nobody_else_has_it(dragan: Callable[..., Any]) -> None:
    before = json.loads(dragan("database", "show", "--json").stdout)
    assert (before["schema"], [step["revision"] for step in before["pending"]]) == (
        None,
        [revision.name for revision in revisions()],
    )
    done = json.loads(dragan("database", "upgrade", "--json").stdout)
    assert len(done["done"]) == len(revisions())
    after = json.loads(dragan("database", "show", "--json").stdout)
    assert (after["schema"], after["pending"]) == (NEWEST, [])
    assert "nothing was left to do" in dragan("database", "upgrade", "--phase", "after").stderr


@pytest.fixture
def with_a_later_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The history of a version that has one more step, to be run after its deploy."""
    folder = tmp_path / "history"
    shutil.copytree(migrations.HERE, folder, ignore=shutil.ignore_patterns("__pycache__", "__init__.py"))
    (folder / "versions" / "9001_later.py").write_text(LATER.format(newest=NEWEST))
    for name in ("revisions", "refuse_newer", "pending", "due", "upgrade"):
        function = getattr(migrations, name)
        function = getattr(function, "__wrapped__", function)
        monkeypatch.setattr(function, "__defaults__", (*(function.__defaults__ or ())[:-1], folder))
    migrations.revisions.cache_clear()
    yield
    migrations.revisions.cache_clear()


def test_on_a_shared_database_the_last_step_waits_until_it_is_told(
    dragan: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, postgres_database: str, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("UA_RUNTIME_DB_URL", postgres_database)
    assert dragan("database", "upgrade").exit_code == 0
    assert check().status is Status.OK
    request.getfixturevalue("with_a_later_step")

    assert "nothing was left to do" in dragan("database", "upgrade").stderr
    shown_now = dragan("database", "show").stdout
    assert f"schema {NEWEST}" in shown_now
    assert "9001  after_deploy   Older processes read this." in shown_now
    assert (check().status, "dragan database upgrade --phase after" in check().advice) == (Status.WARN, True)

    assert "9001" in dragan("database", "upgrade", "--phase", "after").stdout
    assert (check().status, check().detail.endswith("schema 9001")) == (Status.OK, True)


def check() -> Any:
    return checks.check_database(Path(".dragan"))


def test_doctor_says_what_the_first_start_will_do() -> None:
    assert "the first start makes it" in check().detail


def test_doctor_says_that_a_database_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UA_RUNTIME_DB_URL", f"postgresql://simone:s3cret@/missions?host={tmp_path}")
    found = check()
    assert found.status is Status.FAIL
    assert "cannot be reached" in found.detail
    assert "s3cret" not in found.detail


def test_a_missing_driver_is_said_with_the_command_that_installs_it(
    dragan: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UA_RUNTIME_DB_URL", "postgresql://db.example/missions")
    monkeypatch.setitem(sys.modules, "dragancorp.registry.postgres", None)
    done = dragan("database", "show", "--json")
    problem = json.loads(done.stderr.splitlines()[-1])
    assert (done.exit_code, problem["code"]) == (3, "settings_invalid")
    assert "pip install 'dragancorp[postgres]'" in problem["detail"]


def test_a_step_says_its_phase_in_one_of_two_words() -> None:
    assert {revision.phase for revision in revisions()} <= set(Phase)
    assert all(isinstance(revision, Revision) for revision in revisions())
