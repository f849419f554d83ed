"""A campaign in figures."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from .campaign import Campaign, Course
from .oracle import Finding
from .oracle.leases import recoveries


def figures(campaign: Campaign, house: str, course: Course, findings: Sequence[Finding]) -> str:
    """A few lines for people: what was done, what came of it, and how to see it again."""
    return "\n".join(_lines(campaign, house, course, findings))


def _lines(campaign: Campaign, house: str, course: Course, findings: Sequence[Finding]) -> Iterator[str]:
    evidence = course.evidence
    states = Counter(record.row["state"].value for record in evidence.missions.values())
    attempts = Counter(record.row["attempt"] for record in evidence.missions.values())
    yield f"{house}, seed {campaign.seed}: {len(evidence.missions)} missions in {course.seconds:.0f} s"
    yield f"  ended      {_counted(states)}"
    yield f"  attempts   {_counted({f'{n}x': attempts[n] for n in sorted(attempts)})}"
    runs = Counter(effect.what for effect in evidence.effects)
    yield f"  runs       {_counted(runs)}"
    told = evidence.journal
    callers = f"{len(told.accepted)} acknowledged, {course.repeats} asked again, {len(told.cancels)} cancels taken"
    yield f"  callers    {callers}"
    yield f"  faults     {_counted(course.faults)}"
    yield f"  deaths     {_counted(Counter(one.target for one in told.disturbances if one.fatal))}"
    found = list(recoveries(evidence))
    times = sorted(one.seconds for one in found if one.seconds is not None)
    if times:
        tightest = min(one.allowed - one.seconds for one in found if one.seconds is not None)
        yield (
            f"  recoveries {len(times)}: median {statistics.median(times):.2f} s, longest {times[-1]:.2f} s,"
            f" {tightest:.2f} s to spare at the tightest"
        )
    yield f"  violations {len(findings) + len(course.wrong)}"
    yield from (f"    {finding}" for finding in findings)
    yield from (f"    {wrong}" for wrong in course.wrong)


def _counted(counts: "Counter[str] | dict[str, int]") -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
