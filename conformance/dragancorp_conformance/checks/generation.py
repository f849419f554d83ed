"""GEN: requests drawn from the operations document."""

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.generation import generate


@check("generated")
def generated_cases_are_answered_by_the_contract(t: Trial, *, phase: str) -> None:
    made = generate(t.session, phase)
    t.cases += made.cases
    t.failures += made.failures
    t.require(made.cases, "no case could be drawn from the operations")
