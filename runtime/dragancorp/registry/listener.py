"""Hears what other processes commit: one connection that LISTENs, and wakes this store's subscribers.

The thread ends when `stop` was called. A connection that breaks is made anew, and then everybody is woken, since
something may have been missed; who subscribes reads again from time to time all the same.
"""

import selectors
import socket
import threading
from typing import Any

import psycopg
import structlog

from dragancorp.registry.postgres_connection import CHANNEL, connect
from dragancorp.registry.signals import Signals

PAUSES = (0.1, 0.2, 0.5, 1.0)  # seconds between attempts to connect; the last one again and again

log = structlog.get_logger("dragancorp.registry")


class Listener:
    """A thread between the database's notifications and a store's `Signals`."""

    def __init__(self, url: str, store: str, signals: Signals) -> None:
        self._url = url
        self._store = store
        self._signals = signals
        self._stopping = threading.Event()
        self._wake_up, self._alarm = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="registry-listener", daemon=True)
        self.listening = threading.Event()  # cleared while there is no connection

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        self._alarm.send(b"\0")
        if self._thread.is_alive():
            self._thread.join()
        self._wake_up.close()
        self._alarm.close()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                with connect(self._url) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    failures = 0
                    self.listening.set()
                    self._signals.wake_all()
                    self._listen(connection)
            except (psycopg.Error, OSError) as error:
                log.warning("not listening", action="registry.listener_lost", error=str(error))
            finally:
                self.listening.clear()
            self._stopping.wait(PAUSES[min(failures, len(PAUSES) - 1)])
            failures += 1

    def _listen(self, connection: "psycopg.Connection[Any]") -> None:
        """Pass on notifications until stopped; raises `psycopg.OperationalError` when the connection breaks."""
        driver = connection.pgconn
        with selectors.DefaultSelector() as selector:
            selector.register(driver.socket, selectors.EVENT_READ)
            selector.register(self._wake_up, selectors.EVENT_READ)
            while not self._stopping.is_set():
                heard = set()
                while (notification := driver.notifies()) is not None:
                    store, _, topic = notification.extra.decode().partition(" ")
                    if store != self._store:
                        heard.add(topic)
                if heard:
                    self._signals.publish(heard)
                selector.select()
                driver.consume_input()
