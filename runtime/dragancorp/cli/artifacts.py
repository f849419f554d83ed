"""`dragan mission artifacts`: what a mission left behind, listed, and one file of it fetched."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dragancorp.cli import output
from dragancorp.cli.options import DEFAULT_DATA, AsJson, DataFolder, MissionId, ServerToken, ServerUrl
from dragancorp.cli.problems import UNFIT, Refusal, reported


def artifacts(
    mission_id: MissionId,
    fetch: Annotated[str | None, typer.Option("--fetch", metavar="NAME", help="Fetch this one.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to put it; left out: its name, in this folder.")
    ] = None,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """List what a mission left behind, or fetch one file of it; a file that is there already is not overwritten."""
    import asyncio

    from dragancorp.cli.connection import Server, path_arguments
    from dragancorp_contracts.api.operations import LIST_MISSION_ARTIFACTS

    arguments = path_arguments(LIST_MISSION_ARTIFACTS, {"mission_id": mission_id})

    async def ask() -> tuple[list[dict[str, Any]], bytes | None]:
        async with Server(url=url, token=token, data=data).client() as client:
            if fetch is not None:
                return [], await client.download_artifact(mission_id, name=fetch)
            return (await client.list_mission_artifacts(**arguments))["artifacts"], None

    with reported(as_json):
        listed, content = asyncio.run(ask())
        if fetch is not None:
            place = out or Path(fetch.rpartition("/")[2])
            _write(place, content or b"")
            output.data(output.plain(place))
        elif as_json:
            output.document({"artifacts": listed})
        else:
            output.table(
                ("artifact", "bytes", "type", "sha256"),
                [(one["name"], one.get("size_bytes"), one.get("media_type"), one["sha256"]) for one in listed],
            )


def _write(place: Path, content: bytes) -> None:
    try:
        file = place.open("xb")
        try:
            with file:
                file.write(content)
        except OSError:
            place.unlink()  # half of a file on a full disk is no artifact, and would refuse the next try
            raise
    except OSError as error:
        hint = "Name a file that is not there yet with --out."
        raise Refusal("The file cannot be written", f"{place}: {error.strerror}", hint, exit_code=UNFIT) from error
