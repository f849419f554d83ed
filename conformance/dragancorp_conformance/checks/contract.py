"""API and OPS: the document that is served, the operations behind it, and the form of every answer."""

from collections.abc import Iterator, Mapping
from typing import Any

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.operations import NOWHERE, described, operations
from dragancorp_conformance.session import MISSIONS
from dragancorp_conformance.verdicts import Broken, NotImplementedYet
from dragancorp_contracts.api.document import openapi_document


@check("API-1")
def the_document_is_the_contract(t: Trial) -> None:
    exchange = t.ask("GET", "/openapi.json", token=None)
    served = t.answered(exchange, 200)
    theirs = {(path, method): node for path, method, node in described(served)}
    contract = openapi_document()
    for path, method, ours in described(contract):
        if not t.target.asks_for(ours["x-dragan-level"]):
            continue
        with t.case():
            t.cases += 1
            found = theirs.get((path, method))
            t.require(found is not None, f"{ours['operationId']} ({method.upper()} {path}) is not in it", exchange)
            difference = _difference(_flat(ours, contract), _flat(found, served))
            t.require(difference is None, f"{ours['operationId']} differs at {difference}", exchange)


def _flat(node: Any, document: Mapping[str, Any], seen: tuple[str, ...] = ()) -> Any:
    """The node with what it refers to in its place; what refers to itself keeps its name. Status is left out."""
    if isinstance(node, list):
        return [_flat(item, document, seen) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            found = found.get(part, {}) if isinstance(found, dict) else {}
        rest = {name: value for name, value in node.items() if name != "$ref"}
        return _flat({**found, **rest}, document, (*seen, reference))
    return {name: _flat(value, document, seen) for name, value in node.items() if name != "x-dragan-status"}


def _difference(ours: Any, theirs: Any, place: str = "") -> str | None:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in [*ours, *(name for name in theirs if name not in ours)]:
            if name not in ours or name not in theirs:
                return f"{place}/{name}"
            found = _difference(ours[name], theirs[name], f"{place}/{name}")
            if found:
                return found
        return None
    return None if ours == theirs else place or "/"


@check("API-2")
def every_answer_keeps_the_contract(t: Trial) -> None:
    for method, path, options in _tour(t):
        with t.case():
            try:
                t.ask(method, path, **options)
            except NotImplementedYet:
                continue  # its own requirement says so
    t.cases = t.session.judged
    t.failures += t.session.findings[:20]


def _tour(t: Trial) -> Iterator[tuple[str, str, dict[str, Any]]]:
    record = t.dispatched()
    mission_id, lane = record["mission_id"], t.target.lane
    for path in ("", "?limit=1", f"?vp_id={lane}&state=queued&limit=2", "?limit=0", "?nothing=1", "?cursor=%20"):
        yield "GET", f"{MISSIONS}{path}", {}
    for path in ("", "/events", "/events?after=1", "/events?after=x"):
        yield "GET", f"{MISSIONS}/{mission_id}{path}", {}
        yield "GET", f"{MISSIONS}/{NOWHERE}{path}", {}
    yield "GET", "/api/v1/vp/sessions", {}
    yield "GET", f"/api/v1/vp/sessions/{lane}", {}
    yield "POST", MISSIONS, {"content": b"{"}
    yield "POST", MISSIONS, {"json_body": {}}
    yield "POST", MISSIONS, {"json_body": t.target.envelope(), "token": None}
    yield "POST", MISSIONS, {"json_body": t.target.envelope(idempotency_key=record["envelope"]["idempotency_key"])}
    yield "POST", f"{MISSIONS}/{mission_id}/cancel", {"json_body": {}}
    yield "GET", f"{MISSIONS}/{mission_id}", {}
    yield "GET", f"{MISSIONS}/{mission_id}/events", {}
    for path in ("/healthz", "/readyz", "/openapi.json"):
        yield "GET", path, {"token": None}


@check("operation")
def an_operation_is_served(t: Trial, *, operation: str) -> None:
    one = operations()[operation]
    known = {"vp_id": t.target.lane, "name": "common", "version": "v1"}
    if one.safe and "{mission_id}" in one.path:
        known["mission_id"] = t.dispatched()["mission_id"]
    # What writes is pointed at something there is not: that it answers shows enough, and nothing is harmed.
    path = one.address(**known) if one.safe else one.address()
    needed = {"get_vp_metrics": f"?vp_id={t.target.lane}", "download_artifact": "?name=report.json"}
    query = needed.get(operation, "")
    body: dict[str, Any] = {"json_body": {}} if one.takes_body else {}
    exchange = t.ask(one.method, path + query, token=None if one.public else t.target.token, **body)
    if exchange.status == 403 and exchange.code == "scope_missing" and set(one.scopes) <= {"lanes:run"}:
        # The operators' token never has this scope: that it is asked for is as far as one sees from here.
        if one.id in t.session.planned:
            raise NotImplementedYet("planned, says x-dragan-status in its own /openapi.json")
        return
    status = exchange.status or 0
    t.require(status != 501, "it is not served, and /openapi.json does not say that it is planned", exchange)
    if one.id in t.session.planned:
        raise Broken("/openapi.json says that it is planned, yet it is served", exchange)
    t.require(status < 500 and status not in (401, 403), f"it is answered {status}", exchange)
    t.require(status != 405, "the address does not take the method", exchange)
    t.require(exchange.code != "route_unknown", "there is no such address", exchange)
    if one.safe and status != 200:
        # What it is asked for may not exist here; a lane or mission of ours does.
        elsewhere = any(name in one.path for name in ("{session_id}", "coder-vp", "artifacts/content"))
        t.require(elsewhere and status == 404, f"a plain request for it is answered {status}", exchange)
    if not one.safe and one.takes_body and one.id != "cancel_mission":
        t.require(status >= 400, "it takes an empty document", exchange)
