"""`dragan rollout capture`: one more entry of a lane's evidence, as JSON and as a row of the log."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dragancorp.cli import output
from dragancorp.cli.options import (
    DEFAULT_DATA,
    DEFAULT_LANES,
    AsJson,
    DataFolder,
    LaneId,
    LanesFile,
    ServerToken,
    ServerUrl,
)
from dragancorp.cli.problems import GATE_HOLDS, UNFIT, reported, show

NAMED = ("window_label", "scope", "reference", "notes")
NAME_THE_TOKEN = "set UA_OPS_TOKEN, or give --token, to one with ops:write"  # noqa: S105 - no token


def capture(
    vp_id: LaneId,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="rollout: the whole stage; sustained: the newest missions.")
    ] = "rollout",
    mission_limit: Annotated[int | None, typer.Option(min=1, max=500, metavar="N", help="Missions at most.")] = None,
    event_limit: Annotated[
        int | None, typer.Option(min=1, max=1000, metavar="N", help="Entries of the session's ledger at most.")
    ] = None,
    window_label: Annotated[str | None, typer.Option(metavar="TEXT", help="What the window is called.")] = None,
    scope: Annotated[str | None, typer.Option(metavar="TEXT", help="Whose traffic it is about.")] = None,
    reference: Annotated[str | None, typer.Option(metavar="TEXT", help="Where more is to be found.")] = None,
    notes: Annotated[str | None, typer.Option(metavar="TEXT", help="What is to be noted.")] = None,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FILE", help="Append the row to this evidence log too.")
    ] = None,
    db: Annotated[
        str | None, typer.Option("--db", metavar="URL", help="Read and write the database itself; no server.")
    ] = None,
    lanes: LanesFile = DEFAULT_LANES,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Look at a lane, decide, and store both; prints the row of the log. Exit code 4 when a gate holds."""
    import asyncio

    from dragancorp.rollout.book import HEADER, markdown_row

    if profile not in ("rollout", "sustained"):
        raise typer.BadParameter(f"{profile!r} is neither rollout nor sustained", param_hint="--profile")
    asked = {
        "profile": profile,
        "mission_limit": mission_limit,
        "event_limit": event_limit,
        "window_label": window_label,
        "scope": scope,
        "reference": reference,
        "notes": notes,
    }
    document = {name: value for name, value in asked.items() if value is not None}
    problem: dict[str, Any] | None = None
    with reported(as_json):
        if db is not None:
            entry = asyncio.run(_direct(db, lanes, vp_id, document))
        else:
            entry, problem = asyncio.run(_over_http(vp_id, document, url, token, data))
        row = markdown_row(entry)
        if log is not None:
            _append(log, f"{HEADER}\n", row)
        if as_json:
            output.document({"evidence": entry, "markdown_row": row})
        else:
            output.data(row)
            output.note(output.plain(entry["statement"]))
    if problem is not None:
        show(problem, as_json=as_json)
    if entry["action"] in ("hold", "force_fallback"):
        raise typer.Exit(GATE_HOLDS)


async def _over_http(
    vp_id: str, document: dict[str, Any], url: str | None, token: str | None, data: Path
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The server's evidence; where it could not be asked, what that decides, and the problem to tell."""
    from dragancorp.cli.connection import Server, path_arguments
    from dragancorp_contracts.api.operations import CAPTURE_EVIDENCE
    from dragancorp_contracts.client import AnswerUnreadable, ProblemError, ServerUnreachable

    arguments = path_arguments(CAPTURE_EVIDENCE, {"vp_id": vp_id})
    try:
        async with Server(url=url, token=token, data=data).client() as client:
            entry = (await client.capture_evidence(**arguments, document=document)).as_document()
    except ProblemError as error:
        if error.status in (401, 403):
            detail = f"the control plane answered {error.status}: {NAME_THE_TOKEN}"
            return _blocked(vp_id, document, "unauthorised", detail), _problem(error.title, detail, NAME_THE_TOKEN)
        if error.status < 500 and error.code:
            raise
        detail = f"the control plane answered {error.status}"
    except (AnswerUnreadable, ServerUnreachable) as error:
        detail = str(error)
    else:
        return _not_of_another_time(entry)
    hint = "See to the control plane; then capture again."
    return _blocked(vp_id, document, "evidence_stale", detail), _problem("No numbers could be read", detail, hint)


def _not_of_another_time(entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The evidence, unless its time and this host's are too far apart for anything to be decided on it."""
    from datetime import UTC, datetime

    from dragancorp.rollout.policy import standard_policy

    limit = standard_policy().document["stale_after_seconds"]
    apart = (datetime.now(UTC) - datetime.fromisoformat(entry["captured_at"])).total_seconds()
    if abs(apart) <= limit:
        return entry, None
    detail = f"the evidence is {abs(apart):.0f} s {'old' if apart > 0 else 'in the future'} by the clock of this host"
    stale = {**entry, "decision": "INCONCLUSIVE", "action": "hold"}
    return stale, _problem("The clocks do not agree", detail, "Set the clocks of both hosts; then capture again.")


def _problem(title: str, detail: str, hint: str) -> dict[str, Any]:
    return {"type": "about:blank", "title": title, "detail": detail, "hint": hint}


def _blocked(vp_id: str, document: dict[str, Any], condition: str, detail: str) -> dict[str, Any]:
    """What is recorded where no server could be asked: no numbers, so no promotion. It is part of no chain."""
    from datetime import UTC, datetime

    from dragancorp.lifecycle.ledger_entry import utc_text
    from dragancorp.rollout.numbers import NOTHING_READ

    now = utc_text(datetime.now(UTC))
    named: dict[str, Any] = {name: value for name, value in document.items() if name in NAMED}
    return {
        "vp_id": vp_id,
        "captured_at": now,
        "source": "http",
        **named,
        "window": {"from": now, "to": now, "traffic": ["real"]},
        "numbers": dict(NOTHING_READ),
        "statement": "nothing could be read, so nothing is proven",
        "findings": [{"condition": condition, "detail": detail}],
        "stage": "unknown",
        "decision": "BLOCKED_AUTH" if condition == "unauthorised" else "INCONCLUSIVE",
        "action": "hold",
    }


async def _direct(db: str, lanes: Path, vp_id: str, document: dict[str, Any]) -> dict[str, Any]:
    from getpass import getuser

    from dragancorp.clock import SystemClock
    from dragancorp.control_plane import open_store
    from dragancorp.lanes_file import read_lanes
    from dragancorp.lifecycle.commands import By
    from dragancorp.rollout.effect import RolloutLane
    from dragancorp.rollout.policy import RolloutPolicy
    from dragancorp.rollout.rollouts import Rollouts, window_from
    from dragancorp.settings import LaneFlags, Settings
    from dragancorp_contracts.lifecycle import Actor

    known = [
        RolloutLane(vp_id=lane["vp_id"], lane=lane, flags=LaneFlags.read(lane.get("flag")))
        for lane in read_lanes(lanes)
    ]
    clock, policy = SystemClock(), RolloutPolicy.read(Settings.from_environment().rollout_policy_file)
    store = await open_store(db, clock)
    try:
        by = By(kind=Actor.OPERATOR, name=getuser(), way="cli")
        return await Rollouts(store, clock, policy, known).capture(vp_id, by, window_from(document, source="direct"))
    finally:
        await store.close()


def _append(path: Path, header: str, row: str) -> None:
    """One more row at the end of a log, which gets its header when it is new."""
    from dragancorp.cli.problems import Refusal

    try:
        with path.open("a", encoding="utf-8") as log:
            log.write(f"{header if log.tell() == 0 else ''}{row}\n")
    except OSError as error:
        hint = "Name a file that can be written."
        raise Refusal("The evidence log cannot be written", str(error), hint, exit_code=UNFIT) from error
