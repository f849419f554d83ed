"""Rules of the programme's book."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from dragancorp.rules.rule import Breach, Rule, RulesByContract, day, parts, repeated

_NAMED = (
    ("phases", "phase_id"),
    ("checklist", "item_id"),
    ("change_register", "change_id"),
    ("decisions", "decision_id"),
    ("risks", "risk_id"),
)
_DATED = (
    ("checklist", "done_on"),
    ("status_log", "date"),
    ("change_register", "date"),
    ("decisions", "date"),
    ("lessons", "date"),
)


def _names_once(book: Any) -> Iterator[Breach]:
    for register, member in _NAMED:
        for pointer, name in repeated(parts(book, (register, "*", member))):
            yield pointer, f"{name} stands twice"


def _phases_known(book: Any) -> Iterator[Breach]:
    known = {phase["phase_id"] for phase in book["phases"]}
    for pointer, name in parts(book, ("checklist", "*", "phase_id")):
        if name not in known:
            yield pointer, f"there is no phase {name}"


def _newest_last(book: Any) -> Iterator[Breach]:
    for log in ("status_log", "lessons"):
        for (_, earlier), (pointer, later) in pairwise(parts(book, (log, "*", "date"))):
            if later < earlier:
                yield pointer, f"{later} stands after {earlier}"


def _days_of_the_calendar(book: Any) -> Iterator[Breach]:
    for register, member in _DATED:
        for pointer, text in parts(book, (register, "*", member)):
            if day(text) is None:
                yield pointer, f"{text} is no day of the calendar"


def _done_means_done(book: Any) -> Iterator[Breach]:
    for index, phase in enumerate(book["phases"]):
        open_items = [
            item["item_id"] for item in book["checklist"] if item["phase_id"] == phase["phase_id"] and not item["done"]
        ]
        if phase["status"] == "done" and open_items:
            yield f"/phases/{index}/status", f"still open: {', '.join(open_items)}"


RULES: RulesByContract = {
    "program-control": (
        Rule.of("PRG-1", "Each entry of a register has a name of its own.", _names_once),
        Rule.of("PRG-2", "Every item of the checklist belongs to a phase of the book.", _phases_known),
        Rule.of("PRG-3", "The status log and the lessons stand in the order of their days.", _newest_last),
        Rule.of("PRG-4", "Every day is one of the calendar.", _days_of_the_calendar),
        Rule.of("PRG-5", "A phase that is done has nothing open in the checklist.", _done_means_done),
    ),
}
