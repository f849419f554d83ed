"""What chaos missions run: a side effect that is on record outside the workspaces, and misbehaviour to order.

    side_effect.py FOLDER STEP BEHAVIOUR SECONDS

Appends JSON lines to FOLDER/effects.log, each written at once (O_APPEND) and synced before anything else happens:

    {"what": "start",   "mission", "attempt", "step", "pid", "workspace", "at": S, "receipt": BOOL}
    {"what": "overlap", ...}     another run was in the workspace, or something it had started still was
    {"what": "effect",  ...}     the side effect is done
    {"what": "killed",  ..., "victims": [PID, ...]}    it is about to kill its worker (and the guard)
    {"what": "end",     ...}     it is over, and well

`at` is CLOCK_MONOTONIC in seconds, one clock for all processes of the machine. `receipt` says whether the mission's
receipt stood there when the run began. A run keeps a lock of the workspace in FOLDER/runs for itself and whatever it
forks, so the kernel says whether two are there at once. Standard library only; it must start fast.
"""

import fcntl
import hashlib
import json
import os
import signal
import sys
import time

LOG, RUNS, DONE = "effects.log", "runs", "done"
# A killed run lets go of its lock a moment before it is gone; the successor may be that quick, and is no overlap.
PATIENCE_SECONDS = 0.05


class Run:
    """One run of the script."""

    def __init__(self, folder: str, step: int) -> None:
        self.folder = folder
        self.mission = os.environ["DRAGAN_MISSION_ID"]
        self.workspace = os.environ["DRAGAN_WORKSPACE"]
        self.facts = {
            "mission": self.mission,
            "attempt": int(os.environ["DRAGAN_ATTEMPT"]),
            "step": step,
            "pid": os.getpid(),
            "workspace": self.workspace,
        }
        self._log = os.open(os.path.join(folder, LOG), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, what: str, **more: object) -> None:
        line = {"what": what, **self.facts, "at": time.monotonic(), **more}
        os.write(self._log, json.dumps(line).encode() + b"\n")
        os.fsync(self._log)

    def begin(self) -> None:
        receipt = self._receipt_stands()
        alone = self._enter()
        self.say("start", receipt=receipt)
        if not alone:
            self.say("overlap")

    def _receipt_stands(self) -> bool:
        root = os.path.dirname(self.workspace)
        if os.path.basename(os.path.dirname(root)) == "missions":  # a workspace a mission: missions/<id>/workspace
            root = os.path.dirname(os.path.dirname(root))
        return os.path.exists(os.path.join(root, "receipts", self.mission + ".json"))

    def _enter(self) -> bool:
        os.makedirs(os.path.join(self.folder, RUNS), exist_ok=True)
        name = hashlib.sha256(self.workspace.encode()).hexdigest()[:16]
        lock = os.open(os.path.join(self.folder, RUNS, name), os.O_RDWR | os.O_CREAT, 0o600)
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() > until:
                    return False
                time.sleep(0.005)

    def first_time(self) -> bool:
        """Whether this mission was never here before: what kills a worker does so once."""
        os.makedirs(os.path.join(self.folder, DONE), exist_ok=True)
        try:
            os.close(os.open(os.path.join(self.folder, DONE, self.mission), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def kill_worker(self, with_guard: bool) -> None:
        """Kill the worker above the guard, and the guard too where both are to go at one moment."""
        guard = os.getppid()
        with open(f"/proc/{guard}/stat", "rb") as file:
            worker = int(file.read().rpartition(b")")[2].split()[1])
        victims = [worker, guard] if with_guard else [worker]
        self.say("killed", victims=victims)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)


def leave_grandchild() -> None:
    """A grandchild in a session of its own that no polite signal ends."""
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        time.sleep(600)
        os._exit(0)


def main() -> int:
    folder, step, behaviour, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    run = Run(folder, step)
    run.begin()
    if behaviour == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if behaviour == "grandchild":
        leave_grandchild()
    time.sleep(seconds)
    run.say("effect")
    if behaviour == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "fail":
        return 1
    if behaviour in ("kill-worker", "kill-both") and run.first_time():
        run.kill_worker(with_guard=behaviour == "kill-both")
        time.sleep(600)
    run.say("end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
