"""Waking those who wait for a commit: an event a subscriber, nothing kept when nobody listens."""

import asyncio
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Signals:
    """Subscriptions by topic. `publish` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, set[TopicSubscription]] = {}

    def subscribe(self, topic: str) -> "TopicSubscription":
        """A subscription of the running event loop; it hears of every commit from now on."""
        return TopicSubscription(self, topic, asyncio.get_running_loop())

    def publish(self, topics: Iterable[str]) -> None:
        """Wake every subscriber of these topics."""
        with self._lock:
            woken = [listener for topic in topics for listener in self._listeners.get(topic, ())]
        for listener in woken:
            listener.wake()

    def wake_all(self) -> None:
        """Wake every subscriber: the store closes, and nobody shall wait for news that cannot come any more."""
        with self._lock:
            woken = [listener for listeners in self._listeners.values() for listener in listeners]
        for listener in woken:
            listener.wake()

    def add(self, topic: str, listener: "TopicSubscription") -> None:
        """Start telling `listener`."""
        with self._lock:
            self._listeners.setdefault(topic, set()).add(listener)

    def remove(self, topic: str, listener: "TopicSubscription") -> None:
        """Stop telling `listener`."""
        with self._lock:
            listeners = self._listeners.get(topic, set())
            listeners.discard(listener)
            if not listeners:
                self._listeners.pop(topic, None)


class TopicSubscription:
    """See `registry.port.Subscription`."""

    def __init__(self, signals: Signals, topic: str, loop: asyncio.AbstractEventLoop) -> None:
        self._signals = signals
        self._topic = topic
        self._loop = loop
        self._event = asyncio.Event()

    def __enter__(self) -> Self:
        self._signals.add(self._topic, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signals.remove(self._topic, self)

    def wake(self) -> None:
        """Tell the waiting task, on its own loop. Called by the writer, which a loop that has ended must not stop."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, timeout: float) -> bool:
        """True on a commit since the last call, False after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
