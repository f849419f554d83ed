"""Rules of a conformance report."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from dragancorp.rules.rule import Breach, Rule, RulesByContract, moment, parts, repeated


def _requirements_once(report: Any) -> Iterator[Breach]:
    for pointer, name in repeated(parts(report, ("results", "*", "requirement_id"))):
        yield pointer, f"the requirement {name} stands twice"


def _totals_add_up(report: Any) -> Iterator[Breach]:
    counted = Counter(result["outcome"] for result in report["results"])
    for outcome in ("passed", "failed", "not_implemented", "not_covered"):
        if report["totals"][outcome] != counted[outcome]:
            yield f"/totals/{outcome}", f"the results hold {counted[outcome]}"


def _ends_after_it_began(report: Any) -> Iterator[Breach]:
    if moment(report["finished_at"]) < moment(report["started_at"]):
        yield "/finished_at", f"{report['finished_at']} is earlier than started_at, {report['started_at']}"


def _holds(result: Mapping[str, Any]) -> bool:
    """Whether a result lets an implementation conform."""
    if result["outcome"] == "passed":
        return True
    if result["outcome"] == "failed":
        return False
    declared_gap = result["outcome"] == "not_implemented" and result.get("declared") is True
    return result["strength"] == "SHOULD" or declared_gap


def _verdict_follows(report: Any) -> Iterator[Breach]:
    against = [result["requirement_id"] for result in report["results"] if not _holds(result)]
    if report["conformant"] is bool(against):
        yield "/conformant", f"requirements that speak against it: {', '.join(against[:10]) or 'none'}"


RULES: RulesByContract = {
    "conformance-report": (
        Rule.of("REP-1", "Each requirement stands once.", _requirements_once),
        Rule.of("REP-2", "The totals are those of the results.", _totals_add_up),
        Rule.of("REP-3", "A run ends no earlier than it began.", _ends_after_it_began),
        Rule.of(
            "REP-4",
            "It conforms just when nothing failed and every MUST passed or is a declared gap.",
            _verdict_follows,
        ),
    ),
}
