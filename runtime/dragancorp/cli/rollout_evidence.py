"""`dragan rollout evidence`: the chain of a lane's evidence, exported, and checked offline."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dragancorp.cli import output
from dragancorp.cli.options import DEFAULT_DATA, AsJson, DataFolder, LaneId, ServerToken, ServerUrl, command_group
from dragancorp.cli.problems import REFUSED, UNFIT, Refusal, reported

app = command_group("Evidence: what was observed of a lane and decided, chained.")
PAGE = 500


@app.command("list")
def list_evidence(
    vp_id: LaneId,
    limit: Annotated[int, typer.Option(min=1, max=500, metavar="N", help="How many at most, the newest.")] = 20,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """List the newest evidence of a lane."""
    import asyncio

    with reported(as_json):
        page = asyncio.run(_pages(vp_id, limit, url, token, data))
        if as_json:
            output.document({"evidence": page})
            return
        output.table(
            ("nr", "captured", "stage", "decision", "what it proves"),
            [
                (
                    entry["sequence"],
                    entry["captured_at"][:19],
                    entry["stage"],
                    entry["decision"],
                    entry.get("statement"),
                )
                for entry in page
            ],
        )


@app.command("export")
def export(
    vp_id: LaneId,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A bundle to check offline; else the Markdown log.")
    ] = None,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Write the whole chain: as the Markdown log on stdout, or as a bundle to a file."""
    import asyncio
    import json
    from datetime import UTC, datetime

    from dragancorp.rollout.book import bundle, markdown_log

    with reported(as_json):
        entries = asyncio.run(_pages(vp_id, None, url, token, data))[::-1]
        if out is None and not as_json:
            output.data(markdown_log(vp_id, entries).rstrip("\n"))
            return
        policy = asyncio.run(_policy(vp_id, url, token, data))
        document = bundle(vp_id, entries, [policy], datetime.now(UTC))
        if out is None:
            output.document(document)
            return
        try:
            out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            hint = "Name a file that can be written."
            raise Refusal("The bundle cannot be written", str(error), hint, exit_code=UNFIT) from error
        output.note(f"{len(entries)} entries")


@app.command("verify")
def verify(
    bundle_file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle that `export` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Check a bundle without any server: digests, chain, bounds and decisions; exit code 1 when something is wrong."""
    from dragancorp import document_file
    from dragancorp.rollout.book import faults
    from dragancorp.rules import checked

    with reported(as_json):
        try:
            document = document_file.read(bundle_file).document
        except (OSError, document_file.DocumentUnreadable) as error:
            hint = "Name a bundle that `dragan rollout evidence export` wrote."
            raise Refusal("The bundle cannot be read", str(error), hint, exit_code=UNFIT) from error
        checked("rollout-evidence#/$defs/bundle", document)
        found = list(faults(document))
        if as_json:
            output.document(
                {
                    "vp_id": document["vp_id"],
                    "entries": len(document["evidence"]),
                    "faults": [{"sequence": sequence, "fault": fault} for sequence, fault in found],
                }
            )
        else:
            for sequence, fault in found:
                output.data(output.plain(f"entry {sequence}: {fault}"))
            output.note(f"{len(document['evidence'])} entries, {len(found)} faults")
    if found:
        raise typer.Exit(REFUSED)


async def _pages(vp_id: str, limit: int | None, url: str | None, token: str | None, data: Path) -> list[dict[str, Any]]:
    """Entries, newest first: `limit` of them, or all."""
    from dragancorp.cli.connection import Server, path_arguments
    from dragancorp_contracts.api.operations import LIST_EVIDENCE

    lane = path_arguments(LIST_EVIDENCE, {"vp_id": vp_id})["vp_id"]
    found: list[dict[str, Any]] = []
    before: int | None = None
    async with Server(url=url, token=token, data=data).client() as client:
        while True:
            page = await client.list_evidence(lane, limit=min(limit or PAGE, PAGE), before=before)
            found += page["evidence"]
            if page["next_before"] is None or (limit is not None and len(found) >= limit):
                return found
            before = page["next_before"]


async def _policy(vp_id: str, url: str | None, token: str | None, data: Path) -> dict[str, Any]:
    from dragancorp.cli.connection import Server

    async with Server(url=url, token=token, data=data).client() as client:
        status: dict[str, Any] = await client.get_rollout(vp_id=vp_id)
        policy: dict[str, Any] = status["policy"]
        return policy
