"""`dragan token`: make tokens."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from dragancorp.cli import output
from dragancorp.cli.options import AsJson, command_group
from dragancorp.cli.problems import reported

app = command_group("Tokens: who may call, and what they may do.")


@app.callback()
def _token() -> None:
    # With a callback a single command keeps its name: `dragan token new`.
    pass


@app.command("new")
def new(
    name: Annotated[str, typer.Option(help="Its name, as it stands in the ledger.")],
    scope: Annotated[list[str], typer.Option(metavar="SCOPE", help="What it may do; may be repeated.")],
    vp: Annotated[
        list[str] | None, typer.Option(metavar="VP", help="A lane it may see; may be repeated; all when left out.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="INSTANCE", help="The source instance that it speaks for.")
    ] = None,
    expires_in: Annotated[
        int | None, typer.Option(metavar="DAYS", min=1, max=36500, help="Days after which it stops working.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A tokens file to add it to; made when it is not there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token. Its text is shown this once; what is kept of it is a digest, for the file UA_TOKENS_FILE names."""
    import json

    from dragancorp.cli.tokens_entry import append, refuse_unfit
    from dragancorp.tokens_file import digest_of, new_token

    text = new_token()
    entry: dict[str, Any] = {"name": name, "sha256": digest_of(text), "scopes": sorted(set(scope))}
    if vp:
        entry["vp_ids"] = sorted(set(vp))
    if source is not None:
        entry["source_instance_id"] = source
    if expires_in is not None:
        moment = datetime.now(UTC).replace(microsecond=0) + timedelta(days=expires_in)
        entry["expires_at"] = moment.isoformat().replace("+00:00", "Z")
    refuse_unfit(entry)
    with reported(as_json):
        if file is not None:
            append(file, entry)
        if as_json:
            output.document({"token": text, "entry": entry})
            return
        output.data(text)
        if file is None:
            output.data(json.dumps(entry, indent=2))
            output.note("put the entry into the tokens file that UA_TOKENS_FILE names; the text is not kept anywhere")
        else:
            output.note(f"added to {file}; a server reads it at its start, by UA_TOKENS_FILE")
