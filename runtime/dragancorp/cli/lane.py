"""`dragan lane`: lanes, how they are, and what operators do to them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dragancorp.cli import output
from dragancorp.cli.options import DEFAULT_DATA, AsJson, DataFolder, LaneId, ServerToken, ServerUrl, command_group
from dragancorp.cli.problems import reported

app = command_group("Lanes: which there are, how they are, and what is done to them.")

WhyText = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the ledger.")]


@app.command("list")
def list_lanes(
    url: ServerUrl = None, token: ServerToken = None, data: DataFolder = DEFAULT_DATA, as_json: AsJson = False
) -> None:
    """List the lanes with their sessions."""
    import asyncio

    from dragancorp.cli.connection import Server

    async def read() -> dict[str, Any]:
        async with Server(url=url, token=token, data=data).client() as client:
            return await client.list_sessions()

    with reported(as_json):
        found = asyncio.run(read())
        if as_json:
            output.document(found)
            return
        output.table(
            ("lane", "status", "missions", "runtime", "heartbeat", "trouble"),
            [
                (
                    session["vp_id"],
                    session["status"],
                    _counts(session),
                    session.get("vp_runtime_id"),
                    (session.get("heartbeat_at") or "")[:19],
                    session.get("last_error"),
                )
                for session in found["sessions"]
            ],
        )


@app.command("show")
def show(
    vp_id: LaneId,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show a lane's session: status, lease, workspace, trouble."""
    import asyncio

    from dragancorp.cli.connection import Server, path_arguments
    from dragancorp_contracts.api.operations import GET_SESSION

    arguments = path_arguments(GET_SESSION, {"vp_id": vp_id})

    async def read() -> dict[str, Any]:
        async with Server(url=url, token=token, data=data).client() as client:
            return await client.get_session(**arguments)

    with reported(as_json):
        session = asyncio.run(read())
        if as_json:
            output.document(session)
            return
        output.facts(
            [
                ("lane", session["vp_id"]),
                ("session", session["vp_session_id"]),
                ("status", session["status"]),
                ("missions", _counts(session) or "none waits or runs"),
                ("runtime", session.get("vp_runtime_id")),
                ("lease epoch", session["lease_epoch"]),
                ("lease until", session.get("lease_expires_at")),
                ("heartbeat", session.get("heartbeat_at")),
                ("executor session", session.get("executor_session_id")),
                ("continuity", session["continuity_id"]),
                ("workspace", session.get("workspace")),
                ("trouble", session.get("last_error") or None),
            ]
        )


@app.command("drain")
def drain(
    vp_id: LaneId,
    reason: WhyText,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Pause a lane: nothing more is claimed, and what runs is finished."""
    _operate("drain_lane", vp_id, reason, url, token, data, as_json=as_json)


@app.command("resume")
def resume(
    vp_id: LaneId,
    reason: WhyText,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Let a paused lane claim again."""
    _operate("resume_lane", vp_id, reason, url, token, data, as_json=as_json)


@app.command("reset")
def reset(
    vp_id: LaneId,
    reason: WhyText,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Start a lane's session over: its holder is fenced, its missions go back, the agent's own session is dropped."""
    _operate("reset_lane", vp_id, reason, url, token, data, as_json=as_json)


@app.command("route")
def route(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What a caller would say.")],
    session: Annotated[
        str, typer.Option("--session", metavar="ID", help="The gateway's session, for cohorts.")
    ] = "cli",
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="Where the turn comes from.")] = "user",
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Explain where a turn would go, and why; exit code 1 when no lane would get it."""
    import asyncio

    from dragancorp.cli.connection import Server

    async def ask() -> dict[str, Any]:
        async with Server(url=url, token=token, data=data).client() as client:
            turn = {"text": text, "session_id": session, "source": source}
            return await client.explain_routing(document=turn)

    with reported(as_json):
        found = asyncio.run(ask())
        decision = found["decision"]
        if as_json:
            output.document(found)
        else:
            to = decision.get("vp_id") if decision["delegate"] else "the primary path"
            output.data(output.plain(f"{decision['reason']}: {to}"))
            output.table(
                ("lane", "reason", "found by", "stage", "cohort place", "unfinished"),
                [
                    (
                        one.get("vp_id"),
                        one["reason"],
                        one.get("matched") or ", ".join(one.get("signals", ())),
                        one.get("stage"),
                        one.get("cohort_place"),
                        one.get("unfinished"),
                    )
                    for one in found["considered"]
                ],
            )
    if not decision["delegate"]:
        raise typer.Exit(1)


def _operate(
    operation_id: str, vp_id: str, reason: str, url: str | None, token: str | None, data: Path, *, as_json: bool
) -> None:
    import asyncio

    from dragancorp.cli.connection import Server, path_arguments
    from dragancorp_contracts.api.operations import OPERATIONS

    arguments = path_arguments(OPERATIONS[operation_id], {"vp_id": vp_id})

    async def ask() -> dict[str, Any]:
        async with Server(url=url, token=token, data=data).client() as client:
            session: dict[str, Any] = await getattr(client, operation_id)(**arguments, document={"reason": reason})
            return session

    with reported(as_json):
        session = asyncio.run(ask())
        if as_json:
            output.document(session)
            return
        output.data(output.plain(session["status"]))
        if counts := _counts(session):
            output.note(f"unfinished missions: {counts}")


def _counts(session: dict[str, Any]) -> str:
    """Unfinished missions, e.g. `queued 2, running 1`."""
    return ", ".join(f"{state} {count}" for state, count in session.get("mission_counts", {}).items() if count)
