"""Generated cases: Schemathesis draws requests from the operations document, and its checks judge the answers."""

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.operations import longest_wait, operations
from dragancorp_conformance.session import Session
from dragancorp_conformance.target import WAITING_DAYS, moment
from dragancorp_conformance.verdicts import Failure, NotCovered
from dragancorp_contracts.api.document import openapi_document

PHASES = ("examples", "coverage", "fuzzing", "stateful")
MOST_FAILURES = 20
EXCLUSIONS = Path(__file__).resolve().parent / "generated_cases.yaml"

# Of a generated envelope these are replaced by the accepted mission's: what they say is the lane's affair, the clock's
# or another system's. All else stays as it was drawn.
_OWN = ("vp_id", "idempotency_key", "extensions", "constraints", "autonomy_window", "mission_type")
_DROPPED: tuple[str, ...] = ("parent_mission_id", "mission_id", "source_instance_id", "target_instance_id", "callback")
_DROPPED += ("vp_session_id", "vp_runtime_id", "created_at")


@dataclass(kw_only=True)
class Generated:
    """What a phase did: cases by operation, and what failed."""

    cases: int = 0
    missions: int = 0
    """How many envelopes made from the accepted mission were taken."""
    by_operation: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


@cache
def exclusions() -> Sequence[Mapping[str, Any]]:
    """The checks that are left out, each with its reason."""
    document = yaml.safe_load(EXCLUSIONS.read_text(encoding="utf-8"))
    return tuple(document["excluded_checks"])


@cache
def excluded_operations() -> Mapping[str, str]:
    """The operations for which nothing is generated, with the reason."""
    document = yaml.safe_load(EXCLUSIONS.read_text(encoding="utf-8"))
    return {name: one["reason"] for one in document["excluded_operations"] for name in one["operations"]}


def generate(session: Session, phase: str) -> Generated:
    """Run one phase with one worker. Raises `NotCovered` where Schemathesis is not installed."""
    try:
        import schemathesis
        from schemathesis.engine import events, from_schema
    except ImportError:
        raise NotCovered("it needs Schemathesis: install dragancorp[conformance]") from None
    config = schemathesis.config.SchemathesisConfig.from_dict(_config(session, phase))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schemathesis.openapi.from_dict(_document(session), config=config)
        made = Generated()
        overlaid: set[str] = set()
        before_call = schemathesis.hook(
            _overlay(session, overlaid)
        )  # there is no hook of this kind for one schema alone
        try:
            for event in from_schema(schema).execute():
                if isinstance(event, events.ScenarioFinished):
                    _take(session, event.recorder, made, overlaid)
                elif isinstance(event, events.FatalError):
                    raise event.exception
                elif isinstance(event, events.NonFatalError) and len(made.failures) < MOST_FAILURES:
                    made.failures.append(Failure(why=f"{event.label}: {event.value}"[:2000]))
        finally:
            schemathesis.hooks.unregister(before_call)
    return made


def _wanted(session: Session) -> frozenset[str]:
    return frozenset(
        one.id
        for one in operations().values()
        if session.target.asks_for(one.level)
        and one.id not in session.planned
        and one.id in _served_ids(session)
        and one.id not in excluded_operations()
        and (session.target.operations is None or one.id in session.target.operations)
    )


def _served_ids(session: Session) -> set[str]:
    found = {node.get("operationId") for item in session.declared.get("paths", {}).values() for node in _nodes(item)}
    return {name for name in found if isinstance(name, str)}


def _nodes(item: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(item, dict):
        yield from (node for node in item.values() if isinstance(node, dict))


def _document(session: Session) -> dict[str, Any]:
    """The contract, as far as the implementation says that it knows it: `Allow` is compared with this."""
    document = openapi_document()
    known = _served_ids(session)
    for path, item in list(document["paths"].items()):
        for method in [name for name, node in item.items() if isinstance(node, dict) and "operationId" in node]:
            if item[method]["operationId"] not in known:
                del item[method]
        if not any(isinstance(node, dict) for node in item.values()):
            del document["paths"][path]
    return document


def _config(session: Session, phase: str) -> dict[str, Any]:
    pace = session.target.pace
    generation = {"max-examples": pace.examples, "database": "none"}
    phases: dict[str, Any] = {name: {"enabled": name == phase} for name in PHASES}
    if phase != "coverage":
        phases[phase]["generation"] = generation
    off = {one["check"]: {"enabled": False} for one in exclusions() if one["operation"] == "*"}
    looser: dict[str, dict[str, Any]] = {}
    for one in exclusions():
        if one["operation"] != "*":
            statuses = [*_ACCEPTED[one["check"]], *one["accepted"]]
            looser.setdefault(one["operation"], {})[one["check"]] = {"expected-statuses": statuses}
    return {
        "seed": session.target.seed,
        "base-url": session.target.url,
        "workers": 1,
        "continue-on-failure": True,
        "request-timeout": pace.answer_seconds + longest_wait(),  # some of what is drawn asks for a long poll
        "headers": {"Authorization": f"Bearer {session.target.token}"},
        "generation": {"no-shrink": True, "database": "none"},
        "phases": phases,
        "checks": off,
        "operations": [
            *({"include-operation-id": name, "checks": checks} for name, checks in looser.items()),
            {"include-operation-id": sorted(set(operations()) - _wanted(session)), "enabled": False},
        ],
    }


_ACCEPTED = {"positive_data_acceptance": ["2xx", "3xx", "401", "403", "404", "409", "429", "5xx"]}


def _overlay(session: Session, overlaid: set[str]) -> Any:
    """A hook that makes every second valid envelope one that the lane takes."""
    count = 0

    def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
        nonlocal count
        meta = case.meta
        positive = meta is None or meta.generation.mode.value == "positive"
        if case.operation.definition.raw.get("operationId") != "dispatch_mission" or not positive:
            return
        if not isinstance(case.body, dict) or case.media_type != "application/json":
            return
        count += 1
        if count % 2:
            return
        ours = session.target.envelope()
        body = {name: value for name, value in copy.deepcopy(case.body).items() if name not in _DROPPED}
        for name in _OWN:
            body.pop(name, None)
            if name in ours:
                body[name] = ours[name]
        # A mission of the class `deadline` has to have one.
        body.pop("deadline_at", None)
        if body.get("priority_class") == "deadline":
            body["deadline_at"] = moment(datetime.now(UTC) + timedelta(days=2 * WAITING_DAYS))
        case.body = body
        overlaid.add(body["idempotency_key"])

    return before_call


def _take(session: Session, recorder: Any, made: Generated, overlaid: set[str]) -> None:
    for case_id, interaction in recorder.interactions.items():
        made.cases += 1
        case = recorder.cases[case_id].value if case_id in recorder.cases else None
        label = case.operation.label if case is not None else recorder.label
        made.by_operation[label] = made.by_operation.get(label, 0) + 1
        exchange = _exchange(interaction)
        if exchange.method == "POST" and exchange.status in (200, 201):
            session.remember(exchange)
        for node in recorder.checks.get(case_id, ()):
            if node.failure_info is not None and len(made.failures) < MOST_FAILURES:
                failure = node.failure_info.failure
                made.failures.append(
                    Failure(why=f"{node.name}: {failure.title}: {failure.message}"[:3000], exchange=exchange)
                )
        _held_to_success(case, exchange, made, overlaid)


def _held_to_success(case: Any, exchange: Exchange, made: Generated, overlaid: set[str]) -> None:
    body = getattr(case, "body", None)
    key = body.get("idempotency_key") if isinstance(body, dict) else None
    if not isinstance(key, str) or key not in overlaid:
        return
    made.missions += exchange.status == 201
    if exchange.status not in (200, 201, 401, 429) and len(made.failures) < MOST_FAILURES:
        why = f"an envelope made from the accepted mission is answered {exchange.status} {exchange.code or ''}"
        made.failures.append(Failure(why=why, exchange=exchange))


def _exchange(interaction: Any) -> Exchange:
    request, response = interaction.request, interaction.response
    headers = {} if response is None else {name.lower(): values[0] for name, values in response.headers.items()}
    return Exchange(
        method=request.method,
        url=request.uri,
        sent_headers={name: values[0] for name, values in request.headers.items()},
        sent=request.body or b"",
        status=None if response is None else response.status_code,
        headers=headers,
        body=b"" if response is None else response.content or b"",
    )
