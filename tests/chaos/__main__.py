"""`python -m tests.chaos`: one campaign from the command line, with its figures; exit 1 when a promise was broken."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from .campaign import Campaign, run
from .figures import figures
from .houses import HOUSES
from .oracle import judge


def main() -> int:
    """See the module."""
    words = argparse.ArgumentParser(prog="chaos", description=__doc__)
    words.add_argument("house", choices=sorted(HOUSES), nargs="+")
    words.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    words.add_argument("--missions", type=int, default=5000)
    words.add_argument("--faults-every", type=float, default=4.0, help="seconds between faults, about")
    words.add_argument("--waiting", type=int, default=32, help="missions that wait or run at a time")
    asked = words.parse_args()
    campaign = Campaign(
        seed=asked.seed, missions=asked.missions, faults_every=asked.faults_every, waiting=asked.waiting
    )
    broken = 0
    for house in asked.house:
        folder = Path(tempfile.mkdtemp(prefix="chaos-")).resolve()
        print(f"{house}, seed {asked.seed}, in {folder}", flush=True)
        with HOUSES[house](folder) as built:
            course = asyncio.run(run(campaign, built))
        findings = judge(course.evidence)
        print(figures(campaign, house, course, findings), flush=True)
        wrong = len(findings) + len(course.wrong)
        if not wrong:
            shutil.rmtree(folder)  # what went wrong is to be looked at
        broken += wrong
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
