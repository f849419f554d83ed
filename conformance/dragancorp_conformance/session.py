"""Talking to an implementation: every request has a deadline, and every answer is held against the contract."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

import httpx

from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.operations import described
from dragancorp_conformance.response_judge import response_judge
from dragancorp_conformance.target import LEVELS, Target
from dragancorp_conformance.verdicts import Failure

MISSIONS = "/api/v1/missions"
LONGEST_ANSWER = 32 * 1024 * 1024
_FULL = object()


class Session:
    """One run against one implementation. Safe to use from several threads at once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.judge = response_judge()
        self.findings: list[Failure] = []
        """What was wrong with answers by the contract alone, whatever they were asked for."""
        self.judged = 0
        self.missions: set[str] = set()
        """The missions that the run has made, to be cancelled at its end."""
        self._client = httpx.Client(
            base_url=target.url,
            timeout=target.pace.answer_seconds,
            limits=httpx.Limits(max_connections=target.pace.crowd * 2 + 20),
            follow_redirects=False,
            trust_env=False,
            verify=target.url.startswith("https"),  # loading the certificates takes longer than a few requests
        )

    def ask(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: Any = _FULL,
        timeout: float | None = None,
        whole: bool = False,
    ) -> Exchange:
        """Send a request and judge its answer; `status` is None when none came in time.

        `token` is the full token when left out; None sends none.
        """
        sent = dict(headers or {})
        shown_token = self.target.token if token is _FULL else token
        if shown_token is not None:
            sent.setdefault("Authorization", f"Bearer {shown_token}")
        if json_body is not None:
            content = json.dumps(json_body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        exchange = self._exchange(method, path, sent, content, timeout, whole=whole)
        self._note(exchange, path)
        return exchange

    def _exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float | None,
        *,
        whole: bool,
    ) -> Exchange:
        started = time.monotonic()
        request = self._client.build_request(
            method, path, headers=dict(headers), content=content, timeout=timeout or self.target.pace.answer_seconds
        )
        asked: dict[str, Any] = {
            "method": method,
            "url": str(request.url),
            "sent_headers": headers,
            "sent": content or b"",
        }
        try:
            response = self._client.send(request, stream=True)
            try:
                body = _limited(response, until=started + 3 * self.target.pace.answer_seconds, whole=whole)
            finally:
                response.close()
        except httpx.HTTPError:
            return Exchange(**asked, seconds=time.monotonic() - started)
        return Exchange(
            **asked,
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            seconds=time.monotonic() - started,
        )

    def _note(self, exchange: Exchange, path: str) -> None:
        address = path.partition("?")[0]
        if exchange.status is None:
            return
        if exchange.status in (200, 201) and exchange.method == "POST" and address == MISSIONS:
            self.remember(exchange)
        self.judged += 1
        for why in self.judge.findings(exchange.method, address, exchange.status, exchange.headers, exchange.body):
            self.findings.append(Failure(why=why, exchange=exchange))

    def remember(self, exchange: Exchange) -> None:
        """Keep in mind the mission that an answer shows."""
        mission_id = exchange.members.get("mission_id")
        if isinstance(mission_id, str):
            self.missions.add(mission_id)

    @cached_property
    def declared(self) -> Mapping[str, Any]:
        """The implementation's own OpenAPI document; empty when it has none."""
        return self.ask("GET", "/openapi.json", token=None).members

    @cached_property
    def planned(self) -> frozenset[str]:
        """The operations that the implementation declares as planned."""
        return frozenset(
            str(node.get("operationId"))
            for _, _, node in described(self.declared)
            if node.get("x-dragan-status") == "planned"
        )

    @property
    def claimed_level(self) -> str:
        """The highest level of which the implementation says that it serves an operation."""
        served = {
            node.get("x-dragan-level")
            for _, _, node in described(self.declared)
            if node.get("operationId") and node.get("x-dragan-status") != "planned"
        }
        return next((level for level in reversed(LEVELS) if level in served), LEVELS[0])

    def close(self) -> None:
        """Cancel the missions that were made, and let go of the connections."""
        for mission_id in self.missions:
            with suppress(httpx.HTTPError):
                self._client.post(
                    f"{MISSIONS}/{mission_id}/cancel", headers={"Authorization": f"Bearer {self.target.token}"}
                )
        self._client.close()


def _limited(response: httpx.Response, *, until: float, whole: bool) -> bytes:
    """The body; of a stream of events, which may have no end, what came first, unless it is wanted `whole`."""
    endless = not whole and response.headers.get("content-type", "").startswith("text/event-stream")
    parts, size = [], 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if endless or size > LONGEST_ANSWER or time.monotonic() > until:
            break
    return b"".join(parts)
