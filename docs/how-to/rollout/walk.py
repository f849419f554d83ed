"""Run the commands of rollout.md as they stand, in a folder, and show them: `make rollout-demo`.

What the page leaves there stays: the evidence log, the bundle, the data folder of the control plane.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent / "rollout.md"
BLOCK = re.compile(r"```sh(?P<serve> serve)?\n(?P<commands>.*?)```", re.DOTALL)
PATIENCE_SECONDS = 240.0


def main(folder: Path) -> int:
    """0 when every command of the page did what stands beside it."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    for name, words in {"dragan": "-m dragancorp.cli", "python": ""}.items():
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        program.chmod(0o755)
    shutil.copy(PAGE.parent / "rollout" / "turns.py", folder)
    around = {name: value for name, value in os.environ.items() if not name.startswith("UA_")}
    around["PATH"] = f"{folder.absolute() / 'bin'}{os.pathsep}{os.environ['PATH']}"
    server: subprocess.Popen[str] | None = None
    try:
        for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
            if block["serve"]:
                server = serve(block["commands"].strip(), folder, around)
            elif not run(block["commands"], folder, around):
                return 1
    finally:
        if server is not None:
            server.terminate()
            server.wait(PATIENCE_SECONDS)
    print(f"\nThe evidence log, the bundle and the ledgers lie in {folder}.", flush=True)
    return 0


def serve(command: str, folder: Path, around: dict[str, str]) -> "subprocess.Popen[str]":
    """Start the control plane; returns when it says that it is ready."""
    print(f"$ {command} &", flush=True)
    with (folder / "serve.log").open("w") as log:
        server = subprocess.Popen(["sh", "-c", f"exec env {command}"], cwd=folder, env=around, stderr=log, text=True)
    while "ready at" not in (folder / "serve.log").read_text():
        if server.poll() is not None:
            raise SystemExit((folder / "serve.log").read_text())
    return server


def run(commands: str, folder: Path, around: dict[str, str]) -> bool:
    """Run one block, its commands shown before what they say."""
    shown = "set -e\n" + re.sub(
        r"(?m)^(?:dragan|python|touch|rm) .*$", lambda line: f"{_echo(line[0])}\n{line[0]}", commands
    )
    done = subprocess.run(["sh", "-c", shown], cwd=folder, env=around, timeout=PATIENCE_SECONDS, check=False)
    return done.returncode == 0


def _echo(line: str) -> str:
    return f"echo {shlex.quote(f'$ {line}')}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if sys.argv[1:] else ".demo/rollout")))
