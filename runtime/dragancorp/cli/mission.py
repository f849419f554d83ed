"""`dragan mission`: dispatch, list, show, watch and cancel missions; what operators decide stands in `decisions`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dragancorp.cli import decisions, output
from dragancorp.cli.artifacts import artifacts
from dragancorp.cli.options import (
    DEFAULT_DATA,
    AsJson,
    DataFolder,
    MissionId,
    Reason,
    ServerToken,
    ServerUrl,
    command_group,
)
from dragancorp.cli.problems import REFUSED, reported

LAST_EVENTS = 10
READ_EVENTS = 200

app = command_group("Missions: hand them over, follow them, decide about them, end them.")

app.command("artifacts")(artifacts)
app.command("approve")(decisions.approve)
app.command("deny")(decisions.deny)
app.command("retry")(decisions.retry)
app.command("why")(decisions.why)


@app.command("dispatch")
def dispatch(
    envelope_file: Annotated[
        str | None, typer.Argument(metavar="ENVELOPE.json|-", help="An envelope; - reads it from stdin.")
    ] = None,
    lane: Annotated[str | None, typer.Option(metavar="VP", help="The lane, instead of an envelope.")] = None,
    objective: Annotated[str | None, typer.Option(metavar="TEXT", help="What is to be reached.")] = None,
    run: Annotated[
        list[str] | None, typer.Option(metavar="CMD", help="A command for an automation lane; may be repeated.")
    ] = None,
    mission_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="coding, research, automation or custom.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The idempotency key; made up when left out.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Hand a mission over: an envelope file, or --lane and --objective.

    Prints the mission's id. The bytes of a file are sent as they are, and the server judges them.
    """
    options = {"--lane": lane, "--objective": objective, "--run": run or None, "--type": mission_type, "--key": key}
    given = [name for name, value in options.items() if value is not None]
    if envelope_file is not None and given:
        raise typer.BadParameter(f"an envelope file says it all; leave out {', '.join(given)}")
    if envelope_file is None and (lane is None or objective is None):
        raise typer.BadParameter("give an envelope file, or both --lane and --objective")

    import asyncio
    import json

    from dragancorp.cli.connection import Server
    from dragancorp.cli.envelopes import envelope, new_key

    if envelope_file is not None:
        content = _content(envelope_file)
    else:
        chosen = key if key is not None else new_key()
        output.note(f"idempotency key: {output.plain(chosen)}")
        made = envelope(
            lane=lane or "", objective=objective or "", commands=run or [], mission_type=mission_type, key=chosen
        )
        content = json.dumps(made).encode()
    server = Server(url=url, token=token, data=data)
    with reported(as_json):
        reply = asyncio.run(server.send_envelope(content))
        record = reply.document
        if reply.headers.get("idempotency-replayed") == "true":
            output.note("this request was dispatched before; here is its mission")
        if as_json:
            output.document(record, one_line=watch)
        else:
            output.data(output.plain(record["mission_id"]))
        if watch:
            _watch(server, record["mission_id"], as_json=as_json)


def _content(envelope_file: str) -> bytes:
    if envelope_file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(envelope_file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{envelope_file}: {error.strerror or error}") from error


@app.command("list")
def list_missions(
    lane: Annotated[str | None, typer.Option(metavar="VP", help="Only of this lane.")] = None,
    state: Annotated[str | None, typer.Option(metavar="STATE", help="Only in this state.")] = None,
    parked: Annotated[
        bool | None, typer.Option("--parked/--not-parked", help="Only those set aside for an operator, or the others.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most, or how many a page with --all.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """List missions, newest first."""
    import asyncio

    from dragancorp.cli.connection import Server

    async def read() -> dict[str, Any]:
        async with Server(url=url, token=token, data=data).client() as client:
            page = await client.list_missions(vp_id=lane, state=state, parked=parked, limit=limit)
            missions = page["missions"]
            while everything and page["next_cursor"] is not None:
                page = await client.list_missions(
                    vp_id=lane, state=state, parked=parked, limit=limit, cursor=page["next_cursor"]
                )
                missions += page["missions"]
            return {**page, "missions": missions}

    with reported(as_json):
        found = asyncio.run(read())
        if as_json:
            output.document(found)
            return
        output.table(
            ("mission", "state", "created", "lane", "objective"),
            [
                (
                    record["mission_id"],
                    record["state"] + (" (parked)" if record.get("parked") else ""),
                    record["created_at"][5:16].replace("T", " ") if output.watched() else record["created_at"],
                    record["vp_id"],
                    _shortened(record["envelope"]["objective"]),
                )
                for record in found["missions"]
            ],
        )
        if found["next_cursor"] is not None:
            output.note(f"these are the newest {len(found['missions'])}; --all lists all")


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


@app.command("show")
def show(
    mission_id: MissionId,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show a mission: where it stands, its last events, its artifacts."""
    import asyncio

    from dragancorp.cli.connection import Server, path_arguments
    from dragancorp.cli.mission_view import print_mission
    from dragancorp_contracts.api.operations import GET_MISSION

    arguments = path_arguments(GET_MISSION, {"mission_id": mission_id})

    async def read() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        async with Server(url=url, token=token, data=data).client() as client:
            record = await client.get_mission(**arguments)
            after = max(0, record["last_sequence"] - READ_EVENTS)
            page = await client.list_mission_events(mission_id, after=after, limit=READ_EVENTS)
            return record, page["events"]

    with reported(as_json):
        record, events = asyncio.run(read())
        if as_json:
            output.document({"mission": record, "events": events})
        else:
            print_mission(record, events, last_events=LAST_EVENTS)


@app.command("watch")
def watch_mission(
    mission_id: MissionId,
    log: Annotated[bool, typer.Option("--log", help="Show what its programs print instead of its events.")] = False,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Follow a mission to its end: exit code 0 when it completed, 1 when it ended otherwise.

    With --json every event is one line. Leaving it with Ctrl-C does nothing to the mission.
    """
    from dragancorp.cli.connection import Server

    with reported(as_json):
        if log:
            _follow_log(Server(url=url, token=token, data=data), mission_id, as_json=as_json)
            return
        _watch(Server(url=url, token=token, data=data), mission_id, as_json=as_json)


def _follow_log(server: Any, mission_id: str, *, as_json: bool) -> None:
    import asyncio

    from dragancorp.cli.watching import follow_log

    def show(name: str, text: str) -> None:
        if as_json:
            output.document({"name": name, "text": text}, one_line=True)
            return
        for line in text.split("\n"):
            output.data(output.plain(line))

    state = asyncio.run(follow_log(server, mission_id, show))
    if state != "completed":
        output.note(f"the mission ended as {state}")
        raise typer.Exit(REFUSED)


def _watch(server: Any, mission_id: str, *, as_json: bool) -> None:
    import asyncio

    from dragancorp.cli.watching import Watch, event_line, progress

    def show_event(event: dict[str, Any]) -> None:
        if as_json:
            output.document(event, one_line=True)
        else:
            output.data(event_line(event))

    with progress(mission_id, wanted=not as_json):
        state = asyncio.run(Watch(server, mission_id, show_event).to_the_end())
    if state != "completed":
        output.note(f"the mission ended as {state}")
        raise typer.Exit(REFUSED)


@app.command("cancel")
def cancel(
    mission_id: MissionId,
    reason: Reason = None,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """End a mission: at once when it waits, within its lane's deadline when it runs."""
    import asyncio

    from dragancorp.cli.connection import Server, path_arguments
    from dragancorp_contracts.api.operations import CANCEL_MISSION

    arguments = path_arguments(CANCEL_MISSION, {"mission_id": mission_id})

    async def ask() -> dict[str, Any]:
        async with Server(url=url, token=token, data=data).client() as client:
            document = {} if reason is None else {"reason": reason}
            return await client.cancel_mission(**arguments, document=document)

    with reported(as_json):
        record = asyncio.run(ask())
        if as_json:
            output.document(record)
        else:
            output.data(output.plain(record["state"]))
        if record["state"] != "cancelled":
            output.note(f"its end is asked for; follow it with `dragan mission watch {output.plain(mission_id)}`")
