"""The suite as a command: options in, a report out, an exit code that says what was found."""

import argparse
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dragancorp_conformance.gaps import read_gaps
from dragancorp_conformance.mission_maker import Unsuitable, suitable
from dragancorp_conformance.operations import operations
from dragancorp_conformance.report import public_url, report
from dragancorp_conformance.report_html import html
from dragancorp_conformance.report_junit import junit
from dragancorp_conformance.requirements import Requirement, requirements
from dragancorp_conformance.runner import Result, Run, run
from dragancorp_conformance.session import MISSIONS, Session
from dragancorp_conformance.target import LEVELS, Pace, Target
from dragancorp_conformance.verdicts import Outcome
from dragancorp_contracts import strict_json

CONFORMING, NOT_CONFORMING, USAGE, UNREACHABLE = 0, 1, 2, 3
CLAIMED = "L1"  # all of L1 at the level that the implementation claims
MARKS = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "FAILED",
    Outcome.NOT_IMPLEMENTED: "gap",
    Outcome.NOT_COVERED: "not covered",
}


class WrongUsage(Exception):  # noqa: N818
    """The options are not what they should be; the text says what to do."""


class Unreachable(Exception):  # noqa: N818
    """Nobody answers there."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a run was asked for. `level` is one of core, ops, gateway, or L1 for the level that is claimed."""

    url: str
    token: str
    level: str = CLAIMED
    only: Sequence[str] = ()
    limited_token: str | None = None
    lane: str | None = None
    mission: Path | None = None
    full_lane: str | None = None
    operations: Sequence[str] = ()
    """Generate requests for these alone."""
    gaps: Path | None = None
    seed: int | None = None
    json: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    quiet: bool = False
    pace: Pace = field(default_factory=Pace)


def perform(asked: Asked) -> tuple[int, dict[str, Any]]:
    """Run the suite, write the reports that were asked for; the exit code and the report.

    Raises `WrongUsage`, `Unreachable`.
    """
    chosen = _chosen(asked)
    gaps = _gaps(asked)
    unknown = sorted(set(asked.operations) - set(operations()))
    if unknown:
        raise WrongUsage(f"there is no operation {', '.join(unknown)}")
    target = _target(asked)
    wanted = [one for one in chosen if asked.only or target.asks_for(one.level)]
    done = run(target, wanted, gaps=gaps, heard=(lambda result: None) if asked.quiet else _tell)
    document = report(done)
    _write(asked.json, lambda: json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    _write(asked.junit, lambda: junit(document))
    _write(asked.html, lambda: html(document))
    if not asked.quiet:
        _conclude(done, document)
    return CONFORMING if done.conformant else NOT_CONFORMING, document


def _chosen(asked: Asked) -> Sequence[Requirement]:
    known = {one.id: one for one in requirements()}
    unknown = [name for name in asked.only if name not in known]
    if unknown:
        raise WrongUsage(f"there is no requirement {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(asked.only)] or list(known.values())


def _gaps(asked: Asked) -> Mapping[str, str]:
    if asked.gaps is None:
        return {}
    try:
        return read_gaps(asked.gaps, {one.id for one in requirements()})
    except (OSError, ValueError) as error:
        raise WrongUsage(f"--gaps: {error}") from error


def _target(asked: Asked) -> Target:
    """What will be examined, after a first look at it."""
    parts = urlsplit(asked.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongUsage(f"--url {asked.url!r} is no http or https address")
    if asked.level not in (*LEVELS, CLAIMED):
        raise WrongUsage(f"--level is one of {', '.join(LEVELS)} or {CLAIMED}, not {asked.level!r}")
    mission = _mission(asked.mission)
    seed = secrets.randbelow(2**31) if asked.seed is None else asked.seed
    target = Target(
        url=asked.url.rstrip("/"),
        token=asked.token,
        lane=asked.lane or str((mission or {}).get("vp_id", "")),
        mission=mission or {},
        limited_token=asked.limited_token,
        full_lane=asked.full_lane,
        operations=frozenset(asked.operations) or None,
        pace=asked.pace,
        seed=seed,
    )
    session = Session(target)
    try:
        return _looked_at_first(asked, session)
    except Unsuitable as error:
        raise WrongUsage(str(error)) from error
    finally:
        session.close()


def _looked_at_first(asked: Asked, session: Session) -> Target:
    target = session.target
    first = session.ask("GET", f"{MISSIONS}?limit=1")
    if first.status is None:
        raise Unreachable(f"{public_url(target.url)} does not answer: start it, or name another with --url")
    if first.status == 401:
        raise WrongUsage("it does not know the token; give one with --token that has every scope but lanes:run")
    lane, mission = (target.lane, target.mission) if target.mission else suitable(session, target.lane)
    level = session.claimed_level if asked.level == CLAIMED else asked.level
    return replace(target, lane=lane, mission=mission, level=level)


def _mission(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        document = strict_json.loads(path.read_bytes())
    except (OSError, strict_json.JsonInvalid) as error:
        raise WrongUsage(f"--mission {path}: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("vp_id"), str):
        raise WrongUsage(f"--mission {path}: it is no envelope")
    return document


def _write(path: Path | None, text: Any) -> None:
    if path is None:
        return
    try:
        path.write_text(text(), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise WrongUsage(f"{path} cannot be written: {error.strerror or error}") from error


def _tell(result: Result) -> None:
    line = f"{MARKS[result.outcome]:<12} {result.requirement.id:<7} {result.requirement.sentence}"
    if result.reason:
        line += f" ({result.reason})"
    print(line, file=sys.stderr, flush=True)
    for failure in result.failures[:3]:
        print(f"             {failure.why[:300]}", file=sys.stderr)


def _conclude(done: Run, document: Mapping[str, Any]) -> None:
    totals, cases = document["totals"], sum(one["cases"] for one in document["results"])
    said = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in totals.items())
    print(f"{said}; {cases} cases; seed {done.target.seed}", file=sys.stderr)
    for one in done.results:
        if one.outcome is Outcome.NOT_COVERED and one.stands_in_the_way:
            print(f"in the way: {one.requirement.id} was not covered: {one.reason}", file=sys.stderr)
    for result in document["results"]:
        for failure in result.get("failures", ())[:1]:
            print(f"again: {failure['repeat']}", file=sys.stderr)
    print("conforms" if done.conformant else "does not conform", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m dragancorp_conformance`. Exit 0 conforming, 1 not, 2 wrong usage, 3 not reachable."""
    parser = argparse.ArgumentParser(prog="dragancorp_conformance", description=__doc__, allow_abbrev=False)
    one: dict[str, Any] = {"action": "append", "default": [], "metavar": "ID"}
    parser.add_argument("--url", required=True, help="the implementation")
    parser.add_argument("--token", required=True, help="a token with every scope but lanes:run")
    parser.add_argument("--limited-token", help="a token with missions:read alone")
    parser.add_argument(
        "--level", default=CLAIMED, choices=(*LEVELS, CLAIMED), help="whose operations; L1: the level claimed"
    )
    parser.add_argument("--only", help="a requirement; may be repeated", **one)
    parser.add_argument("--lane", metavar="VP_ID", help="the lane to dispatch to; found when left out")
    parser.add_argument("--mission", type=Path, metavar="FILE", help="an envelope that the lane takes")
    parser.add_argument("--full-lane", metavar="VP_ID", help="a lane whose queue is full")
    parser.add_argument("--operation", dest="operations", help="generate requests for it alone", **one)
    parser.add_argument("--gaps", type=Path, metavar="FILE", help="declared gaps: an id and a reason a line")
    parser.add_argument("--seed", type=int, help="repeats what was drawn by chance")
    parser.add_argument("--examples", type=int, default=Pace.examples, help="random cases an operation")
    parser.add_argument("--quiet", action="store_true", help="say nothing")
    for name in ("json", "junit", "html"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write the report as {name}")
    given = vars(parser.parse_args(argv))
    examples = given.pop("examples")
    try:
        code, _ = perform(Asked(**given, pace=Pace(examples=examples)))
    except WrongUsage as error:
        print(f"wrong usage: {error}", file=sys.stderr)
        return USAGE
    except Unreachable as error:
        print(f"not reachable: {error}", file=sys.stderr)
        return UNREACHABLE
    return code
