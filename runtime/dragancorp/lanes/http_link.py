"""`LaneLink` over HTTP, by the generated client: for a worker that shares no database with its plane.

Nothing is repeated here: whoever reports or claims repeats it under the same key, until it is answered or the lease is
lost. A plane that restarts may come back under another address and with another token, so both are looked up anew
after a call that reached nobody.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lanes.link import READS, Claimed, Grant, Holding, Lease, Report
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.registry.operations import HeldMission
from dragancorp_contracts.api.operations import UPLOAD_ARTIFACT
from dragancorp_contracts.client import AnswerUnreadable, Client, ProblemError, ServerUnreachable
from dragancorp_contracts.lifecycle import MissionKind, SessionState

Address = tuple[str, str | None]
"""A plane's URL, and the token it takes."""

LONGEST_WAIT_SECONDS = 20.0  # of one request; proxies cut connections that are silent for longer
CHUNK_BYTES = 256 * 1024
LARGEST_ARTIFACT_BYTES = UPLOAD_ARTIFACT.body.limit if UPLOAD_ARTIFACT.body else 0
# Said of the worker itself, not of what it asks: under a lease they pass for a plane that cannot be reached.
_NOT_LET_IN = frozenset({ErrorCode.UNAUTHENTICATED, ErrorCode.SCOPE_MISSING})


class HttpLink:
    """See `LaneLink`. Close it with `aclose`.

    `find` answers where the plane is now; it may raise `ServerUnreachable`. `make` makes a client that does not repeat
    requests.
    """

    def __init__(self, find: Callable[[], Address], make: Callable[[str, str | None], Client]) -> None:
        self._find = find
        self._make = make
        self._address: Address | None = None
        self._client: Client | None = None
        self._outdated: list[Client] = []
        self._look_again = True

    async def aclose(self) -> None:
        """Close all connections."""
        clients = [*self._outdated, *([self._client] if self._client is not None else [])]
        self._outdated, self._client, self._look_again = [], None, True
        for client in clients:
            await client.aclose()

    async def acquire(self, vp_id: str, owner: str, vp_runtime_id: str) -> Grant:
        """See `LaneLink.acquire`."""
        asked = {"lease_owner": owner, "vp_runtime_id": vp_runtime_id}
        answer = await self._call(lambda client: client.acquire_lease(vp_id, asked))
        session = answer["session"]
        return Grant(
            lease=Lease(vp_id=vp_id, owner=owner, vp_runtime_id=vp_runtime_id, epoch=session["lease_epoch"]),
            policy=_policy(vp_id, answer["policy"]),
            vp_session_id=session["vp_session_id"],
            executor_session_id=session.get("executor_session_id"),
        )

    async def renew(self, lease: Lease, *, wait: float = 0.0, seen: str | None = None) -> Holding:
        """See `LaneLink.renew`."""
        said: dict[str, Any] = {"wait": min(wait, LONGEST_WAIT_SECONDS)}
        return await self._renew(lease, said if seen is None else said | {"seen": seen})

    async def ready(self, lease: Lease, *, executor_session_id: str, outcome: str, workspace: str) -> None:
        """See `LaneLink.ready`."""
        ready = {"executor_session_id": executor_session_id, "outcome": outcome, "workspace": workspace}
        await self._renew(lease, {"says": {"ready": ready}})

    async def degrade(self, lease: Lease, error: str) -> None:
        """See `LaneLink.degrade`."""
        await self._renew(lease, {"says": {"degraded": {"error": error}}})

    async def recover(self, lease: Lease) -> None:
        """See `LaneLink.recover`."""
        await self._renew(lease, {"says": {"recovered": {}}})

    async def _renew(self, lease: Lease, said: Mapping[str, Any]) -> Holding:
        answer = await self._under(lease, lambda client: client.renew_lease(lease.vp_id, {**_proof(lease), **said}))
        return Holding(
            status=SessionState(answer["session"]["status"]),
            policy=_policy(lease.vp_id, answer["policy"]),
            held=tuple(
                HeldMission(
                    mission_id=one["mission_id"],
                    attempt=one["attempt"],
                    state=one["state"],
                    cancel_asked=one["cancel_asked"],
                    decision=one.get("decision"),
                )
                for one in answer["held"]
            ),
            mark=answer["mark"],
        )

    async def claim(
        self, lease: Lease, limit: int = 1, *, key: str | None = None, wait: float = 0.0
    ) -> tuple[Claimed, ...]:
        """See `LaneLink.claim`."""
        asked = _proof(lease) | {"limit": limit, "wait": min(wait, LONGEST_WAIT_SECONDS), "reads": sorted(READS)}
        if key is not None:
            asked["idempotency_key"] = key
        answer = await self._under(lease, lambda client: client.claim_missions(lease.vp_id, asked))
        return tuple(_claimed(lease, record) for record in answer["missions"])

    async def upload(self, lease: Lease, claimed: Claimed, file: Path, reference: Mapping[str, Any]) -> None:
        """See `LaneLink.upload`."""
        if reference["size_bytes"] > LARGEST_ARTIFACT_BYTES:
            raise DraganError(
                ErrorCode.BODY_TOO_LARGE,
                f"{reference['name']} has {reference['size_bytes']} bytes; {LARGEST_ARTIFACT_BYTES} are taken",
            )
        await self._under(
            lease,
            lambda client: client.upload_artifact(
                claimed.mission_id,
                _bytes_of(file),
                name=reference["name"],
                sha256=reference["sha256"],
                lease_owner=lease.owner,
                lease_epoch=lease.epoch,
                attempt=claimed.attempt,
            ),
        )

    async def report(self, lease: Lease, claimed: Claimed, report: Report) -> None:
        """See `LaneLink.report`."""
        await self._report(lease, claimed, report, {})

    async def report_and_claim(self, lease: Lease, claimed: Claimed, report: Report) -> tuple[Claimed, ...]:
        """See `LaneLink.report_and_claim`."""
        following = {"claim_next": {"limit": 1, "reads": sorted(READS)}}
        answer = await self._report(lease, claimed, report, following)
        return tuple(_claimed(lease, record) for record in answer["claimed"])

    async def _report(
        self, lease: Lease, claimed: Claimed, report: Report, following: Mapping[str, Any]
    ) -> dict[str, Any]:
        said = _proof(lease) | {
            "attempt": claimed.attempt,
            "trigger": report.trigger.value,
            "idempotency_key": report.key,
            **following,
        }
        if report.reason is not None:
            said["reason_code"] = report.reason.value
        if report.content:
            said["content"] = dict(report.content)
        if report.artifacts:
            said["artifacts"] = [dict(reference) for reference in report.artifacts]
        if report.receipt is not None:
            said["receipt"] = dict(report.receipt)
        return await self._under(lease, lambda client: client.report_mission(claimed.mission_id, said))

    async def release(self, lease: Lease) -> None:
        """See `LaneLink.release`."""
        await self._under(
            lease,
            lambda client: client.release_lease(lease.vp_id, lease_owner=lease.owner, lease_epoch=lease.epoch),
        )

    async def _under(self, lease: Lease, ask: Callable[[Client], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """A call of a lease's holder: a token that is no longer taken is waited for, as an absent plane is."""
        try:
            return await self._call(ask)
        except DraganError as refused:
            if refused.code in _NOT_LET_IN:
                detail = f"the plane does not let the holder of {lease.vp_id!r} in any more: {refused.detail}"
                raise DraganError(ErrorCode.SERVER_UNREACHABLE, detail) from refused
            raise

    async def _call(self, ask: Callable[[Client], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        before = self._address
        try:
            return await ask(self._reach())
        except (ServerUnreachable, AnswerUnreadable) as error:
            self._look_again = True
            raise DraganError(ErrorCode.SERVER_UNREACHABLE, str(error)) from error
        except ProblemError as problem:
            if problem.status != 401:
                raise _error(problem) from problem
            self._look_again = True
            client = self._reach()
            if self._address == before:
                raise _error(problem) from problem
        # The plane was started anew, with a token of its own for this run.
        try:
            return await ask(client)
        except (ServerUnreachable, AnswerUnreadable) as error:
            raise DraganError(ErrorCode.SERVER_UNREACHABLE, str(error)) from error
        except ProblemError as problem:
            raise _error(problem) from problem

    def _reach(self) -> Client:
        if self._client is None or self._look_again:
            found = self._find()
            if self._client is None or found != self._address:
                if self._client is not None:
                    self._outdated.append(self._client)  # closed later: somebody may still wait for its answer
                self._address, self._client = found, self._make(*found)
            self._look_again = False
        return self._client


def _proof(lease: Lease) -> dict[str, Any]:
    return {"lease_owner": lease.owner, "lease_epoch": lease.epoch}


def _policy(vp_id: str, document: Mapping[str, Any]) -> LanePolicy:
    names = ("lease_ttl", "heartbeat_interval", "cancel_deadline", "idle_limit", "parallel_missions")
    return LanePolicy(vp_id=vp_id, **{name: document[name] for name in names})


def _claimed(lease: Lease, record: Mapping[str, Any]) -> Claimed:
    return Claimed(
        mission_id=record["mission_id"],
        vp_id=record["vp_id"],
        attempt=record["attempt"],
        lease_epoch=lease.epoch,
        resume=record.get("resume", False),
        usage=record.get("usage", {}),
        envelope=record["envelope"],
        decision=record.get("decision"),
        shadow=record["kind"] == MissionKind.SHADOW,
    )


def _error(problem: ProblemError) -> DraganError:
    """What the plane refused, as the registry would have raised it here."""
    if isinstance(problem.code, ErrorCode):
        return DraganError(problem.code, problem.detail, violations=problem.violations, facts=problem.facts)
    # No plane said so: a proxy, or something else under its address.
    gone = problem.status >= 500 or problem.status == 429
    return DraganError(ErrorCode.SERVER_UNREACHABLE if gone else ErrorCode.INTERNAL_ERROR, str(problem))


async def _bytes_of(file: Path) -> AsyncIterator[bytes]:
    """The file, piece by piece. Raises `document_invalid` when it is gone or no file any more."""
    try:
        descriptor = await asyncio.to_thread(os.open, file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise DraganError(ErrorCode.DOCUMENT_INVALID, f"{file.name} cannot be read: {error.strerror}") from error
    try:
        while chunk := await asyncio.to_thread(os.read, descriptor, CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise DraganError(ErrorCode.DOCUMENT_INVALID, f"{file.name} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
