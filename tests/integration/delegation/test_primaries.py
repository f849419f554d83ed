"""Primaries that misbehave: the caller sees just what they did, and the registry holds what is true."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from dragancorp.gateway.turns import Turn
from dragancorp_contracts.lifecycle import MissionState, ReasonCode
from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent

from .conftest import Opener
from .gateway import Gateway, Heard, turn

pytestmark = pytest.mark.anyio

FALLING = turn(["sh", "-c", "exit 3"])
STAYING = Turn(text="hello", session_id="s1")


class UnprintableError(Exception):
    """An error that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


async def before_the_first_event(_: Turn) -> AsyncIterator[Any]:
    raise LookupError("before")
    yield


async def after_the_first_event(_: Turn) -> AsyncIterator[Any]:
    yield "one"
    raise LookupError("after")


async def with_half_a_surrogate_pair(_: Turn) -> AsyncIterator[Any]:
    yield "one"
    raise LookupError("\ud800")


async def without_words(_: Turn) -> AsyncIterator[Any]:
    yield "one"
    raise UnprintableError


def when_called(_: Turn) -> AsyncIterator[Any]:
    raise LookupError("called")


def as_nothing(_: Turn) -> AsyncIterator[Any]:
    return None  # type: ignore[return-value]


class HalfIterator:
    """An iterator without `aclose`, as hand-written ones are, that fails at its second step."""

    def __init__(self, _: Turn) -> None:
        self.left = 1

    def __aiter__(self) -> "HalfIterator":
        return self

    async def __anext__(self) -> Any:
        self.left -= 1
        if self.left < 0:
            raise LookupError("half")
        return "one"


FAILING: list[tuple[Callable[[Turn], Any], type[Exception], list[str]]] = [
    (before_the_first_event, LookupError, []),
    (after_the_first_event, LookupError, ["one"]),
    (with_half_a_surrogate_pair, LookupError, ["one"]),
    (without_words, UnprintableError, ["one"]),
    (when_called, LookupError, []),
    (as_nothing, TypeError, []),
    (HalfIterator, LookupError, ["one"]),
]


async def hear(gateway: Gateway, asked: Turn, primary: Callable[[Turn], Any]) -> Heard:
    heard = Heard()
    try:
        async with aclosing(gateway.plane.delegate(asked, primary=primary)) as events:
            async for event in events:
                heard.events.append(event)
    except Exception as error:
        heard.error = error
    return heard


def own(heard: Heard) -> list[Any]:
    return [event for event in heard.events if not isinstance(event, TurnEvent)]


async def test_what_a_primary_raises_reaches_the_caller_and_the_mission_is_failed_with_its_fallback(
    gateway: Gateway,
) -> None:
    for number, (primary, error, said) in enumerate(FAILING, 1):
        heard = await hear(gateway, FALLING, primary)
        assert type(heard.error) is error, primary
        assert own(heard) == said, primary
        assert heard.one("coder_vp_fallback")["path"] == "code-writer"
        rows = await gateway.missions()
        assert len(rows) == number
        row = rows[-1]
        assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.FALLBACK_FAILED), primary
        (fallback,) = await gateway.fallbacks(row.mission_id)
        assert (fallback["reason"], fallback["path"]) == (ReasonCode.EXECUTOR_ERROR, "code-writer")
        assert error.__name__ in (await gateway.ledger(row.mission_id))[-1]["summary"]


async def test_what_a_primary_raises_reaches_the_caller_of_a_turn_that_stayed(gateway: Gateway) -> None:
    for primary, error, said in FAILING:
        heard = await hear(gateway, STAYING, primary)
        assert type(heard.error) is error, primary
        assert heard.events == said, primary
    assert await gateway.missions() == []


async def test_whatever_a_primary_yields_is_passed_on_as_it_is(gateway: Gateway) -> None:
    garbage = [None, b"\x00\xff", "\ud800", float("nan"), LookupError("not raised"), object(), "x" * 5_000_000]

    async def primary(_: Turn) -> AsyncIterator[Any]:
        for one in garbage:
            yield one

    for asked in (FALLING, STAYING):
        heard = await hear(gateway, asked, primary)
        assert heard.error is None
        assert all(one is other for one, other in zip(own(heard), garbage, strict=True))
    row = await gateway.mission()
    assert (row.state, row.completed_via) == (MissionState.COMPLETED, "primary")


async def test_a_primary_that_never_ends_is_ended_by_its_caller_and_its_mission_with_it(open_gateway: Opener) -> None:
    gateway = await open_gateway()
    closed = []

    async def endless(_: Turn) -> AsyncIterator[Any]:
        try:
            while True:
                yield "again"
                await asyncio.sleep(0)
        finally:
            closed.append(True)

    async with aclosing(gateway.plane.delegate(FALLING, primary=endless)) as events:
        async for event in events:
            if event == "again":
                break
    row = await gateway.ended((await gateway.mission()).mission_id, 30)
    assert (row.state, row.reason_code) == (MissionState.CANCELLED, ReasonCode.CALLER_GONE)
    assert closed == [True]
