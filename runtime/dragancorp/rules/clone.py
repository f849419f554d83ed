"""Rules of clones: their profile, their checklist, and what they say to their control plane."""

from collections.abc import Iterator
from typing import Any

from dragancorp.rules.rule import Breach, Rule, RulesByContract, day, moment, parts, repeated


def _day_of_the_name(profile: Any) -> Iterator[Breach]:
    written = profile["clone_id"].rpartition("_")[2]
    if day(written) is None:
        yield "/clone_id", f"{written} is no day of the calendar"


def _reports_to_another(profile: Any) -> Iterator[Breach]:
    if profile["reports_to"]["instance_id"] == profile["instance_id"]:
        yield "/reports_to/instance_id", "a clone does not report to itself"


def _window_ends_after_it_starts(profile: Any) -> Iterator[Breach]:
    window = profile.get("autonomy_window")
    if window and moment(window["end_at"]) <= moment(window["start_at"]):
        yield "/autonomy_window/end_at", f"{window['end_at']} is not later than start_at, {window['start_at']}"


def _lines_once(checklist: Any) -> Iterator[Breach]:
    for pointer, name in repeated(parts(checklist, ("lines", "*", "line_id"))):
        yield pointer, f"the line {name} stands twice"


def _ready_when_all_passed(checklist: Any) -> Iterator[Breach]:
    missing = [line["line_id"] for line in checklist["lines"] if line["required"] and line["result"] != "passed"]
    if checklist["ready"] is bool(missing):
        yield "/ready", f"required lines that did not pass: {', '.join(missing) or 'none'}"


def _started_before_it_spoke(entry: Any) -> Iterator[Breach]:
    if "started_at" in entry and moment(entry["started_at"]) > moment(entry["reported_at"]):
        yield "/started_at", f"{entry['started_at']} is later than reported_at, {entry['reported_at']}"


RULES: RulesByContract = {
    "clone-profile": (
        Rule.of("CLN-1", "The day in a clone's name is one of the calendar.", _day_of_the_name),
        Rule.of("CLN-2", "A clone reports to another instance than itself.", _reports_to_another),
        Rule.of("CLN-3", "An autonomy window ends later than it starts.", _window_ends_after_it_starts),
    ),
    "deployment-checklist": (
        Rule.of("CHK-1", "Each line stands once.", _lines_once),
        Rule.of("CHK-2", "A clone is ready just when every required line passed.", _ready_when_all_passed),
    ),
    "fleet": (Rule.of("FLT-1", "An instance started before it spoke.", _started_before_it_spoke),),
}
