"""Starts the processes of a house by forking: everything is imported once, so that a new process costs no second.

    starter.py FOLDER

One JSON object a line. In: {"name": NAME, "arguments": [...], "environment": {...}}. Out: {"started": NAME, "pid": P}
and {"exited": P, "code": C}. At end of file it kills whom it has started, and ends; they die with it, too.
"""

import contextlib
import importlib
import json
import os
import selectors
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

# What the commands of a house import when they run.
LOADED = ("dragancorp.cli.app", "dragancorp.cli.serving", "dragancorp.cli.logs", "dragancorp.executors.catalogue")


class Starter:
    """The loop; ends at the end of its standard input."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._living: set[int] = set()
        self._wake, self._waker = os.pipe()
        for descriptor in (self._wake, self._waker):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Start and collect until nobody asks any more."""
        rest = b""
        with selectors.DefaultSelector() as selector:
            for descriptor in (0, self._wake):
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._wake in ready:
                    os.read(self._wake, 4096)
                    self._collect()
                if 0 in ready:
                    data = os.read(0, 65536)
                    if not data:
                        break
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self._start(json.loads(line))
        for pid in self._living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _collect(self) -> None:
        while self._living:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._living.discard(pid)
            say({"exited": pid, "code": os.waitstatus_to_exitcode(status)})

    def _start(self, asked: dict[str, Any]) -> None:
        starter = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._be(asked, starter)
        self._living.add(pid)
        say({"started": asked["name"], "pid": pid})

    def _be(self, asked: dict[str, Any], starter: int) -> None:
        """The child: never returns."""
        from dragancorp.lanes.process_tree import die_with_parent

        from .process import become

        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            die_with_parent(starter)
            log = os.open(self._folder / "logs" / f"{asked['name']}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(source, target)
            for descriptor in (self._wake, self._waker, log, nothing):
                os.close(descriptor)
            os.environ.update(asked["environment"])
            become(self._folder, asked["name"], asked["arguments"])
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)


def say(document: dict[str, Any]) -> None:
    """One line to whoever asked."""
    os.write(1, json.dumps(document).encode() + b"\n")


def main() -> None:
    """See the module."""
    for module in LOADED:
        importlib.import_module(module)
    Starter(Path(sys.argv[1])).serve()


if __name__ == "__main__":
    main()
