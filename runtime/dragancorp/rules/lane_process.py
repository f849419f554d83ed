"""Rules of the protocol by which any program is a lane."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from dragancorp.rules.rule import Breach, Rule, RulesByContract, parts, repeated
from dragancorp_contracts import resources

EXIT_CODES = range(256)


@cache
def _reasons() -> frozenset[str]:
    return frozenset(row["code"] for row in resources.read_document("lifecycle", file="lifecycle.json")["reasons"])


def _variables_once(protocol: Any) -> Iterator[Breach]:
    for pointer, name in repeated(parts(protocol, ("environment", "*", "name"))):
        yield pointer, f"the variable {name} stands twice"


def _one_meaning_each(protocol: Any) -> Iterator[Breach]:
    meant: set[int] = set()
    for index, row in enumerate(protocol["exit_codes"]):
        codes = set(range(row["first"], row["last"] + 1))
        if codes & meant:
            yield f"/exit_codes/{index}", f"{min(codes & meant)} already has a meaning"
        meant |= codes
    missing = set(EXIT_CODES) - meant
    # A range the wrong way round leaves its codes open, and is told so by another rule.
    if missing and all(row["first"] <= row["last"] for row in protocol["exit_codes"]):
        yield "/exit_codes", f"{min(missing)} has no meaning"


def _ranges_forwards(protocol: Any) -> Iterator[Breach]:
    for index, row in enumerate(protocol["exit_codes"]):
        if row["last"] < row["first"]:
            yield f"/exit_codes/{index}/last", f"{row['last']} is below first, {row['first']}"


def _reasons_declared(protocol: Any) -> Iterator[Breach]:
    for path in (("exit_codes", "*", "reason_code"), ("last_word", "signal")):
        for pointer, reason in parts(protocol, path):
            if reason not in _reasons():
                yield pointer, f"the life cycles have no reason {reason}"


RULES: RulesByContract = {
    "lane-process": (
        Rule.of("LPR-1", "Each variable stands once.", _variables_once),
        Rule.of("LPR-2", "Each exit code from 0 to 255 has one meaning.", _one_meaning_each),
        Rule.of("LPR-3", "A range of exit codes does not end before it begins.", _ranges_forwards),
        Rule.of("LPR-4", "Every reason is one of the life cycles.", _reasons_declared),
    ),
}
