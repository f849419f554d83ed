"""What people decide about missions on the command line, and the answer to why one does not run."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from dragancorp.cli import output
from dragancorp.cli.options import DEFAULT_DATA, AsJson, DataFolder, MissionId, Reason, ServerToken, ServerUrl
from dragancorp.cli.problems import reported

Ask = Callable[[Any], Awaitable[dict[str, Any]]]


def approve(
    mission_id: MissionId,
    reason: Reason = None,
    max_llm_calls: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Raise the budget to N model calls.")
    ] = None,
    max_cost_usd: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="Raise the budget to this cost in US dollars.")
    ] = None,
    request_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Only if it is this request that it waits for.")
    ] = None,
    answer: Annotated[str | None, typer.Option(metavar="JSON", help="The answer to a question, an object.")] = None,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Let a blocked mission go on: approve, raise its budget, or answer its question."""
    from dragancorp_contracts.api.operations import APPROVE_MISSION

    given = {
        "reason": reason,
        "max_llm_calls": max_llm_calls,
        "max_cost_usd": max_cost_usd,
        "request_id": request_id,
        "answer": None if answer is None else _object(answer),
    }
    document = {name: value for name, value in given.items() if value is not None}
    arguments = _arguments(APPROVE_MISSION, mission_id)
    _decide(lambda client: client.approve_mission(**arguments, document=document), url, token, data, as_json=as_json)


def deny(
    mission_id: MissionId,
    reason: Reason = None,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """End a blocked mission: what it waits for is refused, and nobody takes over."""
    from dragancorp_contracts.api.operations import DENY_MISSION

    arguments = _arguments(DENY_MISSION, mission_id)
    _decide(lambda client: client.deny_mission(**arguments, document=_why(reason)), url, token, data, as_json=as_json)


def retry(
    mission_id: MissionId,
    reason: Reason = None,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Run a failed, timed-out or cancelled mission again, as a new one; prints its id, the same when asked again."""
    from dragancorp_contracts.api.operations import RETRY_MISSION

    arguments = _arguments(RETRY_MISSION, mission_id)
    _decide(
        lambda client: client.retry_mission(**arguments, document=_why(reason)),
        url,
        token,
        data,
        as_json=as_json,
        shown="mission_id",
    )


def why(
    mission_id: MissionId,
    url: ServerUrl = None,
    token: ServerToken = None,
    data: DataFolder = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Say why a mission is not running, or not finished: one answer, and the facts behind it."""
    from dragancorp_contracts.api.operations import EXPLAIN_MISSION

    arguments = _arguments(EXPLAIN_MISSION, mission_id)
    with reported(as_json):
        answer = _asked(lambda client: client.explain_mission(**arguments), url, token, data)
        if as_json:
            output.document(answer)
            return
        output.data(output.plain(answer["sentence"]))
        output.facts([("code", answer["code"]), *((name, _text(value)) for name, value in answer["facts"].items())])


def _decide(ask: Ask, url: str | None, token: str | None, data: Path, *, as_json: bool, shown: str = "state") -> None:
    """Ask for it; show one member of the mission's record, or all of it."""
    with reported(as_json):
        record = _asked(ask, url, token, data)
        if as_json:
            output.document(record)
        else:
            output.data(output.plain(record[shown]))


def _asked(ask: Ask, url: str | None, token: str | None, data: Path) -> dict[str, Any]:
    import asyncio

    from dragancorp.cli.connection import Server

    async def answer() -> dict[str, Any]:
        async with Server(url=url, token=token, data=data).client() as client:
            return await ask(client)

    return asyncio.run(answer())


def _arguments(operation: Any, mission_id: str) -> dict[str, Any]:
    from dragancorp.cli.connection import path_arguments

    return path_arguments(operation, {"mission_id": mission_id})


def _why(reason: str | None) -> dict[str, str]:
    return {} if reason is None else {"reason": reason}


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--answer") from error
    if not isinstance(found, dict):
        raise typer.BadParameter("an answer is a JSON object", param_hint="--answer")
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
