"""SIGTERM and Ctrl-C, twice: the first asks for an end in order, the second ends the process at once."""

import asyncio
import os
import signal
from collections.abc import Callable

STOPPED_AT_ONCE = 1


def heeded(last_words: Callable[[], None]) -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; before the second ends the process, `last_words` is called."""
    stop = asyncio.Event()

    def heard() -> None:
        if not stop.is_set():
            stop.set()
            return
        last_words()
        os._exit(STOPPED_AT_ONCE)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    return stop
