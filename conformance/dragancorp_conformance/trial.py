"""One check at work: it asks, and says what must hold of the answers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.operations import operations
from dragancorp_conformance.session import MISSIONS, Session
from dragancorp_conformance.target import Target
from dragancorp_conformance.verdicts import Broken, Failure, NotImplementedYet

MOST_FAILURES = 20


class Trial:
    """What a check gets: the session, a count of its cases, and the failures it went on from."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.cases = 0
        self.failures: list[Failure] = []

    @property
    def target(self) -> Target:
        """What is examined."""
        return self.session.target

    def ask(self, method: str, path: str, **options: Any) -> Exchange:
        """Send a request, as `Session.ask`. Raises `Broken` when no answer comes."""
        self.cases += 1
        exchange = self.session.ask(method, path, **options)
        if exchange.status is None:
            raise Broken(f"no answer within {exchange.seconds:.1f} s, or the connection was dropped", exchange)
        if exchange.status == 501 and self._planned(method, path):
            raise NotImplementedYet("planned, says x-dragan-status in its own /openapi.json")
        return exchange

    def _planned(self, method: str, path: str) -> bool:
        node = self.session.judge.operation(method, path.partition("?")[0])
        return node is not None and node["operationId"] in self.session.planned

    def require(self, holds: object, why: str, exchange: Exchange | None = None) -> None:
        """Raise `Broken` unless it holds."""
        if not holds:
            raise Broken(why, exchange)

    def refused(self, exchange: Exchange, status: int, code: str) -> None:
        """Raise `Broken` unless the answer is this refusal."""
        self.require(
            (exchange.status, exchange.code) == (status, code),
            f"expected {status} {code}; it answered {exchange.status} {exchange.code or 'without a code'}",
            exchange,
        )

    def answered(self, exchange: Exchange, *statuses: int) -> Mapping[str, Any]:
        """The answer's members. Raises `Broken` for another status."""
        expected = " or ".join(str(status) for status in statuses)
        self.require(
            exchange.status in statuses,
            f"expected {expected}; it answered {exchange.status} {exchange.code or ''}",
            exchange,
        )
        return exchange.members

    @contextmanager
    def case(self) -> Iterator[None]:
        """One case of many: what is broken in it is kept, and the check goes on."""
        try:
            yield
        except Broken as broken:
            if len(self.failures) < MOST_FAILURES:
                self.failures.append(broken.failure)

    def dispatched(self, **members: Any) -> dict[str, Any]:
        """A new mission that waits; its record."""
        exchange = self.ask("POST", MISSIONS, json_body=self.target.envelope(**members))
        record = dict(self.answered(exchange, 201))
        self.require(isinstance(record.get("mission_id"), str), "the record has no mission_id", exchange)
        return record

    def mission(self, mission_id: str) -> dict[str, Any]:
        """A mission's record."""
        return dict(self.answered(self.ask("GET", f"{MISSIONS}/{mission_id}"), 200))

    def cancelled(self, mission_id: str) -> Exchange:
        """The answer to a cancel."""
        return self.ask("POST", f"{MISSIONS}/{mission_id}/cancel", json_body={"reason": "conformance"})

    def ledger(self, mission_id: str, query: str = "limit=1000") -> list[dict[str, Any]]:
        """A mission's events. Raises `Broken` when they are no list of events."""
        exchange = self.ask("GET", f"{MISSIONS}/{mission_id}/events?{query}")
        events = self.answered(exchange, 200).get("events")
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            raise Broken("the answer holds no list of events", exchange)
        return events

    def served(self) -> list[Any]:
        """The operations of the level that need a token."""
        return [one for one in operations().values() if self.target.asks_for(one.level)]
