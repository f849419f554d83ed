"""`dragan rollout`: where a lane stands, evidence, and what operators do to it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from dragancorp.cli import output, rollout_evidence
from dragancorp.cli.options import DEFAULT_DATA, AsJson, DataFolder, LaneId, ServerToken, ServerUrl, command_group
from dragancorp.cli.problems import GATE_HOLDS, reported
from dragancorp.cli.rollout_capture import capture

app = command_group("Rollouts: where a lane stands, what its evidence decides, and what is done about it.")
app.command("capture")(capture)
app.add_typer(rollout_evidence.app, name="evidence")

WhyText = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the ledger.")]
Ask = Callable[[Any, dict[str, Any]], Awaitable[dict[str, Any]]]


@app.command("status")
def status(
    vp_id: LaneId,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show stage, gates, and what the numbers of this moment decide; exit code 4 when they hold the lane."""
    with reported(as_json):
        found = _asked(lambda client, lane: client.get_rollout(**lane), vp_id, url, token, data)
        if as_json:
            output.document(found)
        else:
            _show(found)
    if found["action"] in ("hold", "force_fallback"):
        raise typer.Exit(GATE_HOLDS)


@app.command("advance")
def advance(
    vp_id: LaneId,
    to: Annotated[str, typer.Option("--to", metavar="STAGE", help="The next stage.")],
    reason: WhyText,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Promote a lane when its gates pass, or lift a forced fallback; exit code 4 when a gate holds."""
    stages = _stages()
    if to not in stages:
        raise typer.BadParameter(f"{to!r} is none of {', '.join(stages)}", param_hint="--to")
    document = {"to": to, "reason": reason}
    _act(
        lambda client, lane: client.advance_rollout(**lane, document=document), vp_id, url, token, data, as_json=as_json
    )


@app.command("hold")
def hold(
    vp_id: LaneId,
    reason: WhyText,
    lift: Annotated[bool, typer.Option("--lift", help="Lift the hold instead.")] = False,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Refuse every promotion of a lane until the hold is lifted."""
    document = {"reason": reason, "lift": lift}
    _act(lambda client, lane: client.hold_rollout(**lane, document=document), vp_id, url, token, data, as_json=as_json)


@app.command("rollback")
def rollback(
    vp_id: LaneId,
    reason: WhyText,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Force the fallback: within a second no gateway gives the lane a turn, until `advance` lifts it."""
    document = {"reason": reason}
    _act(
        lambda client, lane: client.rollback_rollout(**lane, document=document),
        vp_id,
        url,
        token,
        data,
        as_json=as_json,
    )


def _stages() -> list[str]:
    from dragancorp_contracts.models.rollout_policy_v1 import Stage

    return [stage.value for stage in Stage if stage is not Stage.off]


def _act(ask: Ask, vp_id: str, url: str | None, token: str | None, data: Path, *, as_json: bool) -> None:
    with reported(as_json):
        found = _asked(ask, vp_id, url, token, data)
        if as_json:
            output.document(found)
            return
        output.data(output.plain(found["effective_stage"]))
        _tell(found)


def _asked(ask: Ask, vp_id: str, url: str | None, token: str | None, data: Path) -> dict[str, Any]:
    import asyncio

    from dragancorp.cli.connection import Server, path_arguments
    from dragancorp_contracts.api.operations import GET_ROLLOUT

    lane = path_arguments(GET_ROLLOUT, {"vp_id": vp_id})

    async def answer() -> dict[str, Any]:
        async with Server(url=url, token=token, data=data).client() as client:
            return await ask(client, lane)

    return asyncio.run(answer())


def _show(found: dict[str, Any]) -> None:
    output.facts(
        [
            ("lane", found["vp_id"]),
            ("stage", found["stage"]),
            ("in effect", found["effective_stage"] if found["effective_stage"] != found["stage"] else None),
            ("override", None if found["override"] == "none" else found["override"]),
            ("held", "yes" if found["held"] else None),
            ("since", found.get("since")),
            ("decision", found["decision"]),
            ("sample", found["statement"]),
            ("next stage", found.get("next_stage")),
        ]
    )
    if found["gates"]:
        output.table(
            ("gate", "state", "found"), [(gate["name"], gate["state"], gate["detail"]) for gate in found["gates"]]
        )
    for finding in found["findings"]:
        output.note(output.plain(f"{finding['condition']}: {finding.get('detail', '')}"))
    _tell(found)


def _tell(found: dict[str, Any]) -> None:
    """The newest change, for people: who did it, and who could undo it."""
    if found["changes"]:
        change = found["changes"][0]
        why = change["actor"].get("reason", "no reason given")
        lifted = f"; lifted by {change['lifted_by']}" if "lifted_by" in change else ""
        output.note(output.plain(f"{change['type']} by {change['actor']['name']}: {why}{lifted}"))
