"""Waking those who wait for a commit."""

import asyncio
import threading

import pytest

from dragancorp.registry.signals import Signals

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_subscriber_hears_what_was_published_before_it_waited() -> None:
    signals = Signals()
    with signals.subscribe("lane:a") as subscription:
        signals.publish({"lane:a"})
        assert await subscription.wait(1.0)
        assert not await subscription.wait(0.01)


async def test_other_topics_are_not_heard() -> None:
    signals = Signals()
    with signals.subscribe("lane:a") as subscription:
        signals.publish({"lane:b", "mission:a"})
        assert not await subscription.wait(0.01)


async def test_many_commits_between_two_waits_are_one_waking() -> None:
    signals = Signals()
    with signals.subscribe("t") as subscription:
        for _ in range(5):
            signals.publish({"t"})
        assert await subscription.wait(1.0)
        assert not await subscription.wait(0.01)


async def test_a_publisher_may_be_any_thread() -> None:
    signals = Signals()
    with signals.subscribe("t") as subscription:
        waiting = asyncio.create_task(subscription.wait(5.0))
        await asyncio.sleep(0)
        threading.Thread(target=signals.publish, args=({"t"},)).start()
        assert await waiting


async def test_nothing_is_kept_for_whoever_has_left() -> None:
    signals = Signals()
    with signals.subscribe("t"), signals.subscribe("t"):
        assert signals._listeners
    assert signals._listeners == {}
    signals.publish({"t"})


def test_a_loop_that_has_ended_stops_no_publisher() -> None:
    signals = Signals()

    async def subscribe_and_leave() -> None:
        signals.subscribe("t").__enter__()

    asyncio.run(subscribe_and_leave())
    signals.publish({"t"})
