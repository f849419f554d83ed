"""`dragan database`: the registry's schema, and what of its history has to run before and after a deploy."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragancorp.cli import output
from dragancorp.cli.options import DEFAULT_DATA, AsJson, DataFolder, command_group
from dragancorp.cli.problems import reported

if TYPE_CHECKING:
    from dragancorp.registry.migrations import Revision

app = command_group("The registry's database: its schema, and the migrations before and after a deploy.")


class Through(StrEnum):
    """How far an upgrade goes."""

    BEFORE = "before"
    AFTER = "after"


@app.command("show")
def show(data: DataFolder = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show which schema the database has and what has not run yet. Only reads."""
    from dragancorp.cli.database_url import database_url, shown
    from dragancorp.control_plane import schema_at

    with reported(as_json):
        url = database_url(data)
        found = schema_at(url)
        if as_json:
            output.document(
                {
                    "url": shown(url),
                    "server": found.server,
                    "schema": found.current,
                    "pending": [_document(revision) for revision in found.pending],
                }
            )
            return
        output.data(f"{shown(url)}, {found.server}, schema {found.current or 'none yet'}")
        for revision in found.pending:
            output.data(_line(revision))


@app.command("upgrade")
def upgrade(
    phase: Annotated[
        Through, typer.Option(help="before: what older processes do not mind; after: the rest, once none is left.")
    ] = Through.BEFORE,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Run migrations. A control plane runs those of `before` itself when it starts."""
    import asyncio

    from dragancorp.cli.database_url import database_url
    from dragancorp.control_plane import upgrade_schema
    from dragancorp.registry.migrations import Phase

    with reported(as_json):
        through = Phase.BEFORE if phase is Through.BEFORE else Phase.AFTER
        done = asyncio.run(upgrade_schema(database_url(data), through))
        if as_json:
            output.document({"done": [_document(revision) for revision in done]})
            return
        for revision in done:
            output.data(_line(revision))
        if not done:
            output.note("nothing was left to do")


def _document(revision: "Revision") -> dict[str, Any]:
    return {"revision": revision.name, "phase": revision.phase.value, "what": revision.what}


def _line(revision: "Revision") -> str:
    return f"{revision.name}  {revision.phase.value:<13}  {revision.what}"
