"""The registry's schema history. `upgrade` brings a database to this version's schema."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from dragancorp.errors import DraganError, ErrorCode


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@cache
def known_revisions() -> tuple[str, ...]:
    """Every revision this version knows, the newest first."""
    script = ScriptDirectory.from_config(_config())
    return tuple(revision.revision for revision in script.walk_revisions())


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def refuse_newer(connection: Connection) -> None:
    """Raise `database_newer` for a schema of a later version; only reads."""
    current = _current(connection)
    if current is not None and current not in known_revisions():
        raise DraganError(
            ErrorCode.DATABASE_NEWER,
            f"the database has the schema {current!r}, which this version does not know",
            facts={"schema": current, "known": sorted(known_revisions())},
        )


def refuse_other(connection: Connection) -> None:
    """Raise `database_newer` for a schema of a later version, `data_folder_unusable` for an earlier; only reads."""
    refuse_newer(connection)
    current = _current(connection)
    if current != known_revisions()[0]:
        raise DraganError(
            ErrorCode.DATA_FOLDER_UNUSABLE,
            f"the database has the schema {current!r}; a control plane that opens it brings it up to date",
            facts={"schema": current, "known": sorted(known_revisions())},
        )


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest schema. Raises `database_newer` for one of a later version, unchanged."""
    refuse_newer(connection)
    if _current(connection) != known_revisions()[0]:
        command.upgrade(_config(connection), "head")
