"""What a gateway's author may write, and what `make check` refuses: an `ignore` that nothing needs is an error here."""

from collections.abc import AsyncIterator

from dragancorp.control_plane import ControlPlane
from dragancorp.gateway.turns import Turn
from dragancorp.testing.gateway import Fails, FakeLane, FakePrimary
from dragancorp_contracts.models.gateway_turn_v1 import Kind, TurnEvent


async def agent(turn: Turn) -> AsyncIterator[str]:
    yield turn.text


async def answer_at_once(turn: Turn) -> str:
    return turn.text


async def takes_text(text: str) -> AsyncIterator[str]:
    yield text


async def use(plane: ControlPlane, turn: Turn) -> None:
    async for event in plane.delegate(turn, primary=agent):
        if isinstance(event, TurnEvent):
            _: Kind = event.kind
            text: str | None = event.path  # type: ignore[assignment]  # may be missing, which is not None
        else:
            text = event
            event.kind  # type: ignore[attr-defined]  # noqa: B018
        del text
    async for other in plane.delegate(turn, primary=FakePrimary(1, 2)):
        if not isinstance(other, TurnEvent):
            _number: int = other


async def misuse(plane: ControlPlane, turn: Turn) -> None:
    plane.delegate(turn)  # type: ignore[call-arg]
    plane.delegate("CODIE, go", primary=agent)  # type: ignore[arg-type]
    plane.delegate(turn, primary=answer_at_once)  # type: ignore[arg-type]
    plane.delegate(turn, primary=takes_text)  # type: ignore[arg-type]
    await plane.delegate(turn, primary=agent)  # type: ignore[misc]
    async for event in plane.delegate(turn, primary=agent):
        event.upper()  # type: ignore[union-attr]
    Turn(text="CODIE")  # type: ignore[call-arg]
    Turn("CODIE", "s1")  # type: ignore[call-arg]
    turn.text = "other"  # type: ignore[misc]
    FakeLane(plane, "vp.coder.primary").then(Fails("x"), "fails")  # type: ignore[arg-type]
