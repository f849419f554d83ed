"""Asking an implementation for every requirement, one after the other."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dragancorp_conformance.checks import checks
from dragancorp_conformance.requirements import Requirement
from dragancorp_conformance.session import Session
from dragancorp_conformance.target import Target
from dragancorp_conformance.trial import Trial
from dragancorp_conformance.verdicts import Broken, Failure, NotCovered, NotImplementedYet, Outcome

LAST = "API-2"  # it judges the answers to all others, so it comes after them


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was found of one requirement."""

    requirement: Requirement
    outcome: Outcome
    cases: int
    seconds: float
    failures: Sequence[Failure] = ()
    reason: str | None = None
    """Why it is not implemented or not covered."""
    declared: bool = False
    """Whether it is a declared gap."""

    @property
    def stands_in_the_way(self) -> bool:
        """Whether it keeps an implementation from conforming (rule REP-4 of the report's contract)."""
        if self.outcome is Outcome.NOT_COVERED:
            return self.requirement.strength == "MUST"
        return self.outcome is Outcome.FAILED


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the suite."""

    target: Target
    claimed_level: str
    implementation_version: str | None
    started_at: datetime
    finished_at: datetime
    results: Sequence[Result]

    @property
    def conformant(self) -> bool:
        """Whether nothing failed, and every MUST passed or is a declared gap."""
        return not any(result.stands_in_the_way for result in self.results)

    def count(self, outcome: Outcome) -> int:
        """How many requirements came out so."""
        return sum(result.outcome is outcome for result in self.results)


def run(
    target: Target,
    wanted: Sequence[Requirement],
    *,
    gaps: Mapping[str, str] | None = None,
    heard: Callable[[Result], None] = lambda result: None,
) -> Run:
    """Ask the target for each requirement; `heard` is called with every result as it comes."""
    started_at = datetime.now(UTC)
    session = Session(target)
    try:
        results = {}
        for requirement in sorted(wanted, key=lambda one: one.id == LAST):
            result = _looked_at(session, requirement, (gaps or {}).get(requirement.id))
            results[requirement.id] = result
            heard(result)
        version = session.ask("GET", "/healthz", token=None).members.get("version")
        claimed = session.claimed_level
    finally:
        session.close()
    return Run(
        target=target,
        claimed_level=claimed,
        implementation_version=version if isinstance(version, str) else None,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        results=[results[one.id] for one in wanted],
    )


def _looked_at(session: Session, requirement: Requirement, gap: str | None) -> Result:
    trial = Trial(session)
    started = time.monotonic()
    outcome, reason = Outcome.PASSED, None
    try:
        checks()[requirement.check](trial, **requirement.arguments)
    except Broken as broken:
        trial.failures.append(broken.failure)
    except NotImplementedYet as planned:
        outcome, reason = Outcome.NOT_IMPLEMENTED, str(planned)
    except NotCovered as uncovered:
        outcome, reason = Outcome.NOT_COVERED, str(uncovered)
    except Exception as error:  # what an answer may look like has no end; the others are looked at all the same
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        why = f"an answer of a shape nobody could read: {said}"
        trial.failures.append(Failure(why=why[:3000]))
    if trial.failures:
        outcome, reason = Outcome.FAILED, None
    failures = list(trial.failures)
    if gap is not None and outcome is Outcome.FAILED:
        outcome, reason, failures = Outcome.NOT_IMPLEMENTED, gap, []
    elif gap is not None and outcome is Outcome.PASSED:
        outcome = Outcome.FAILED
        failures = [Failure(why=f"it is declared as a gap ({gap}) and passes: take it off the list")]
    return Result(
        requirement=requirement,
        outcome=outcome,
        cases=trial.cases,
        seconds=time.monotonic() - started,
        failures=failures,
        reason=reason,
        declared=gap is not None or outcome is Outcome.NOT_IMPLEMENTED,
    )
