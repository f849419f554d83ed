"""The registry's schema history, for both databases.

Each revision says in `phase` when it may run. `before_deploy`: the version that runs now does not mind it (a new table,
a column with a default); opening a database runs these. `after_deploy`: it would trip an older process that still
runs (a column dropped, a rule tightened); it runs when nobody older is left, which the sole owner of a file knows by
itself and the operator of a shared database says with `dragan database upgrade --phase after`.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from dragancorp.errors import DraganError, ErrorCode

HERE = Path(__file__).parent


class Phase(StrEnum):
    """When a revision may run, seen from the deploy of the version that brings it."""

    BEFORE = "before_deploy"
    AFTER = "after_deploy"


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One step of the history."""

    name: str
    phase: Phase
    what: str


@dataclass(frozen=True, kw_only=True)
class SchemaState:
    """Which schema a database has; `server` is the software that keeps it, `current` None where there is none yet."""

    server: str
    current: str | None
    pending: tuple[Revision, ...]


def _config(folder: Path, connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@cache
def revisions(folder: Path = HERE) -> tuple[Revision, ...]:
    """Every revision this version knows, the oldest first."""
    script = ScriptDirectory.from_config(_config(folder))
    newest_first = [
        Revision(name=step.revision, phase=Phase(step.module.phase), what=step.doc) for step in script.walk_revisions()
    ]
    return tuple(reversed(newest_first))


def current(connection: Connection) -> str | None:
    """The database's revision; None for one that has no schema yet."""
    return MigrationContext.configure(connection).get_current_revision()


def refuse_newer(connection: Connection, folder: Path = HERE) -> None:
    """Raise `database_newer` for a schema of a later version; only reads."""
    found, known = current(connection), [revision.name for revision in revisions(folder)]
    if found is not None and found not in known:
        raise DraganError(
            ErrorCode.DATABASE_NEWER,
            f"the database has the schema {found!r}, which this version does not know",
            facts={"schema": found, "known": known},
        )


def refuse_other(connection: Connection) -> None:
    """Raise `database_newer` for a schema of a later version, `data_folder_unusable` for an earlier; only reads."""
    refuse_newer(connection)
    found = current(connection)
    if due(connection, Phase.BEFORE):
        raise DraganError(
            ErrorCode.DATA_FOLDER_UNUSABLE,
            f"the database has the schema {found!r}; a control plane that opens it brings it up to date",
            facts={"schema": found},
        )


def pending(connection: Connection, folder: Path = HERE) -> tuple[Revision, ...]:
    """The revisions that have not run, the oldest first. Raises `database_newer`."""
    refuse_newer(connection, folder)
    found, known = current(connection), revisions(folder)
    if found is None:
        return known
    return known[[revision.name for revision in known].index(found) + 1 :]


def state(connection: Connection, server: str) -> SchemaState:
    """The schema's state; only reads. Raises `database_newer`."""
    return SchemaState(server=server, current=current(connection), pending=pending(connection))


def due(connection: Connection, through: Phase, folder: Path = HERE) -> tuple[Revision, ...]:
    """What of `pending` an upgrade through a phase runs.

    Through `BEFORE` the trailing `AFTER` ones wait. One that stands before a `BEFORE` one belongs to an earlier
    deploy and is done with it; in a database without a schema nobody older can be left, so nothing waits.
    """
    left = pending(connection, folder)
    if through is Phase.AFTER or current(connection) is None:
        return left
    while left and left[-1].phase is Phase.AFTER:
        left = left[:-1]
    return left


def upgrade(connection: Connection, through: Phase = Phase.AFTER, folder: Path = HERE) -> tuple[Revision, ...]:
    """Run what is due, in the connection's open transaction; answers what was run.

    Raises `database_newer` for a schema of a later version, unchanged.
    """
    steps = due(connection, through, folder)
    if steps:
        command.upgrade(_config(folder, connection), steps[-1].name)
    return steps
