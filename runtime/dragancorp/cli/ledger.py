"""`dragan ledger`: whether what is stored is what the ledgers tell."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dragancorp.cli import output
from dragancorp.cli.options import DEFAULT_DATA, AsJson, DataFolder, ServerToken, ServerUrl, command_group
from dragancorp.cli.problems import REFUSED, reported

PAGE = 200  # missions a request

app = command_group("Ledgers: every row rebuilt from its events.")


@app.command("verify")
def verify(
    mission: Annotated[str | None, typer.Option("--mission", metavar="ID", help="This mission alone.")] = None,
    archive: Annotated[
        list[Path] | None, typer.Option("--archive", metavar="FILE", help="This archive too; may be repeated.")
    ] = None,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Rebuild every mission and lane from its events and name what differs.

    A database that no control plane owns is read directly and left as it is; otherwise its owner is asked. Ends with
    1 when anything differs.
    """
    import asyncio

    with reported(as_json):
        report = asyncio.run(_verified(url, token, data, mission, archive or []))
        if as_json:
            output.document(report)
        else:
            _show(report)
    if report["findings"]:
        raise typer.Exit(REFUSED)


async def _verified(
    url: str | None, token: str | None, data: Path, mission: str | None, archives: list[Path]
) -> dict[str, Any]:
    from dragancorp.cli import plane_file
    from dragancorp.errors import DraganError, ErrorCode
    from dragancorp.missions.ledger import verify_archives, verify_store
    from dragancorp.registry.sqlite_reader import SqliteReader

    path = _database(data) if url is None else None
    if path is not None:
        try:
            async with SqliteReader(path) as reader:
                report = await verify_store(reader, mission_id=mission)
                there = report.joined(await verify_archives(archives, reader))
        except DraganError as refused:
            if refused.code is not ErrorCode.DATABASE_OWNED:
                raise
        else:
            if mission is not None and report.missions == 0:
                raise DraganError(ErrorCode.MISSION_UNKNOWN, f"there is no mission {mission!r}")
            return there.as_json()
    alone = (await verify_archives(archives)).as_json()
    if archives and path is None and url is None and plane_file.read(data) is None:
        return alone  # there is no database to look at beside them
    asked = await _asked(url, token, data, mission)
    return {name: asked[name] if name == "next_after" else asked[name] + alone[name] for name in asked}


def _database(data: Path) -> Path | None:
    """The file that could be read directly; None: the registry is elsewhere, or there is none."""
    from dragancorp.control_plane import SQLITE_SCHEME
    from dragancorp.settings import Settings

    named = Settings.from_environment().runtime_db_url
    if named is not None and not named.startswith(SQLITE_SCHEME):
        return None
    path = data / "state.db" if named is None else Path(named.removeprefix(SQLITE_SCHEME))
    return path if path.is_file() else None


@app.command("archive")
def archive(
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="DAYS", help="Missions that ended longer ago, e.g. 90d; at least 30d."),
    ] = "30d",
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Move missions that ended long ago to an archive file in the control plane's data folder."""
    import asyncio

    days = older_than.removesuffix("d")
    if not (days.isascii() and days.isdigit() and int(days) >= 30):
        raise typer.BadParameter(f"{older_than!r} is no number of days from 30d", param_hint="--older-than")
    with reported(as_json):
        done = asyncio.run(_archived(url, token, data, int(days)))
        if as_json:
            output.document(done)
        elif done["missions"]:
            output.data(f"{done['missions']} missions with {done['entries']} entries are in")
            for path in done["archives"]:
                output.data(f"  {output.plain(path)}")
        else:
            output.note("no mission is that old and settled")


async def _archived(url: str | None, token: str | None, data: Path, days: int) -> dict[str, Any]:
    from dragancorp.cli.connection import Server

    done: dict[str, Any] = {"missions": 0, "entries": 0, "archives": []}
    async with Server(url=url, token=token, data=data).client() as client:
        more = True
        while more:
            step = await client.archive_missions({"older_than_days": days})
            more = step["more"]
            done["missions"] += step["missions"]
            done["entries"] += step["entries"]
            done["archives"] += [step["archive"]] if step["archive"] is not None else []
    return done


async def _asked(url: str | None, token: str | None, data: Path, mission: str | None) -> dict[str, Any]:
    from dragancorp.cli.connection import Server

    whole: dict[str, Any] = {"missions": 0, "sessions": 0, "entries": 0, "findings": [], "next_after": 0}
    wanted = {} if mission is None else {"mission_id": mission}
    async with Server(url=url, token=token, data=data).client() as client:
        while whole["next_after"] is not None:
            page = await client.verify_ledger(after=whole["next_after"], limit=PAGE, **wanted)
            whole = {name: page[name] if name == "next_after" else whole[name] + page[name] for name in whole}
    return whole


def _show(report: dict[str, Any]) -> None:
    for finding in report["findings"]:
        place = f" entry {finding['sequence']}" if "sequence" in finding else ""
        where = output.plain(f"{finding['subject']} {finding['id']}{place}")
        output.data(f"{where}: {output.plain(finding['detail'])} [{finding['rule']}]")
    seen = f"{report['missions']} missions, {report['sessions']} lanes, {report['entries']} entries"
    count = len(report["findings"])
    output.note(f"{seen}: " + ("nothing differs" if not count else f"{count} differences"))
