"""A run as the document of `specs/conformance-report`."""

import shlex
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dragancorp_conformance import SUITE_VERSION
from dragancorp_conformance.generation import exclusions
from dragancorp_conformance.runner import Result, Run
from dragancorp_conformance.verdicts import Failure, Outcome
from dragancorp_contracts import resources

SUITE_LEVEL = "L1"


def report(run: Run) -> dict[str, Any]:
    """The report. Tokens are in no part of it."""
    return {
        "suite": {"version": SUITE_VERSION, "seed": run.target.seed},
        "implementation": _implementation(run),
        "contracts": dict.fromkeys(resources.names(), "v1"),
        "level": SUITE_LEVEL,
        "started_at": _time(run.started_at),
        "finished_at": _time(run.finished_at),
        "results": [_result(run, result) for result in run.results],
        "excluded_checks": [_exclusion(one) for one in exclusions()],
        "totals": {outcome.value: run.count(outcome) for outcome in Outcome},
        "conformant": run.conformant,
        "operations_level": run.target.level,
    }


def _implementation(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"url": public_url(run.target.url), "level": run.claimed_level}
    if run.implementation_version is not None:
        found["version"] = run.implementation_version[:100]
    return found


def _result(run: Run, result: Result) -> dict[str, Any]:
    requirement = result.requirement
    found: dict[str, Any] = {
        "requirement_id": requirement.id,
        "sentence": requirement.sentence,
        "strength": requirement.strength,
        "section": requirement.section,
        "outcome": result.outcome.value,
        "declared": result.declared,
        "cases": result.cases,
        "duration_seconds": round(result.seconds, 3),
    }
    if result.reason is not None:
        found["reason"] = result.reason[:4000]
    if result.failures:
        found["failures"] = [_failure(run, requirement.id, failure) for failure in result.failures[:20]]
    return found


def _failure(run: Run, requirement_id: str, failure: Failure) -> dict[str, Any]:
    found: dict[str, Any] = {"why": failure.why[:4000], "repeat": repeat_command(run, requirement_id)[:8000]}
    if failure.exchange is not None:
        found["request"] = failure.exchange.request_document()
        # Inside single quotes the shell puts nothing in, so they end before the token and begin behind it.
        found["command"] = _masked(run, failure.exchange.command(), "'\"{}\"'")
        answer = failure.exchange.answer_document()
        if answer is not None:
            found["answer"] = answer
    return {
        name: value if name in ("repeat", "command") else _without_tokens(run, value) for name, value in found.items()
    }


def repeat_command(run: Run, requirement_id: str) -> str:
    """The command that asks for one requirement again."""
    words = ["dragan", "conformance", "run", "--url", shlex.quote(public_url(run.target.url))]
    words += ["--token", '"$UA_OPS_TOKEN"', "--level", run.target.level, "--lane", shlex.quote(run.target.lane)]
    words += ["--seed", str(run.target.seed), "--only", requirement_id]
    if run.target.limited_token is not None:
        words += ["--limited-token", '"$LIMITED_TOKEN"']
    if run.target.full_lane is not None:
        words += ["--full-lane", shlex.quote(run.target.full_lane)]
    return " ".join(words)


def _without_tokens(run: Run, node: Any) -> Any:
    """The node with names in the place of tokens."""
    if isinstance(node, str):
        return _masked(run, node, "{}")
    if isinstance(node, dict):
        return {name: _without_tokens(run, value) for name, value in node.items()}
    return node


def _masked(run: Run, text: str, form: str) -> str:
    full = run.target.token
    # AUT-2 also sends what is nearly the token; that is as good as the token to whoever reads the report.
    for token, name in (
        (run.target.limited_token, "$LIMITED_TOKEN"),
        (full, "$UA_OPS_TOKEN"),
        (full.swapcase(), "$UA_OPS_TOKEN_SWAPPED"),
        (full[:-1], "${UA_OPS_TOKEN%?}"),
    ):
        if token:
            text = text.replace(token, form.format(name))
    return text


def public_url(url: str) -> str:
    """The URL without a user's name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _exclusion(one: Any) -> dict[str, str]:
    where = "" if one["operation"] == "*" else f"{one['operation']}: "
    return {"check": f"{where}{one['check']}", "reason": one["reason"]}


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
