"""Processes of missions, found by a word on their command line."""

import os

import psutil


def alive(word: str) -> list[psutil.Process]:
    """Living processes with this word on their command line, of missions of this worker of the test run.

    The same test may run for another link or database at the same moment in another worker.
    """
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if word in (process.info["cmdline"] or [])
        and process.info["status"] != psutil.STATUS_ZOMBIE
        and _started_here(process)
    ]


def _started_here(process: psutil.Process) -> bool:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    try:
        return worker is None or f"popen-{worker}/" in process.environ().get("DRAGAN_WORKSPACE", "")
    except psutil.NoSuchProcess:
        return False
