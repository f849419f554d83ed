"""The registry's schema history. `upgrade` brings a database to this version's schema."""

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


def known_revisions() -> frozenset[str]:
    """Every revision this version knows."""
    script = ScriptDirectory.from_config(_config())
    return frozenset(revision.revision for revision in script.walk_revisions())


def refuse_newer(connection: Connection) -> None:
    """Raise `database_newer` for a schema of a later version; only reads."""
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known_revisions():
        raise DraganError(
            ErrorCode.DATABASE_NEWER,
            f"the database has the schema {current!r}, which this version does not know",
            facts={"schema": current, "known": sorted(known_revisions())},
        )


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest schema. Raises `database_newer` for one of a later version, unchanged."""
    refuse_newer(connection)
    command.upgrade(_config(connection), "head")
