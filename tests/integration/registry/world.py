"""One registry with everything above it that a test speaks through: callers, a lane's runtime, the reconciler."""

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import psycopg.rows
import pytest

from dragancorp.clock import FakeClock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lifecycle.commands import By, Fence, MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.missions.commands import Missions, Requester
from dragancorp.missions.reconciler import Reconciler
from dragancorp.registry.contract import SessionRegistry
from dragancorp.registry.operations import (
    ClaimMissions,
    Dispatched,
    Renewal,
    SessionStepped,
    StepAndClaim,
    StepMission,
    Stepped,
    StepSession,
    Stored,
)
from dragancorp.registry.port import Store
from dragancorp_contracts.lifecycle import Actor, Holder, MissionKind, MissionTrigger, ReasonCode, SessionTrigger

LANE = "vp.coder.primary"
SECOND_LANE = "vp.research.primary"
TTL = 30.0
RECEIPT = {"outcome": "done"}
CALLER = Requester(by=By(kind=Actor.CALLER, name="simone"))
OPERATOR = By(kind=Actor.OPERATOR, name="ops", reason="maintenance", way="cli")
GATEWAY = By(kind=Actor.GATEWAY, name="gateway-1")
PRIMARY = By(kind=Actor.PRIMARY, name="code-writer")
Members = Mapping[str, Any]
Tables = Callable[..., list[dict[str, Any]]]
"""Answers a statement and the values of its `?` from a connection of its own, beside the store."""


def policy(vp_id: str = LANE, **changes: Any) -> LanePolicy:
    """A lane with a short lease, three attempts and one slot."""
    values: dict[str, Any] = {"lease_ttl": TTL, "heartbeat_interval": TTL / 3, "backoff": 5.0, "cancel_deadline": 30.0}
    return LanePolicy(vp_id=vp_id, **values | changes)


@contextmanager
def refused(code: ErrorCode) -> Iterator[pytest.ExceptionInfo[DraganError]]:
    """The block must be refused with this code."""
    with pytest.raises(DraganError) as caught:
        yield caught
    assert caught.value.code is code, caught.value


@dataclass
class World:
    """A store and what speaks to it. Times come from `clock`, which moves only when told to."""

    store: Store
    clock: FakeClock
    keys: str = "key"

    def __post_init__(self) -> None:
        self.registry = SessionRegistry(self.store)
        self.reconciler = Reconciler(self.store, self.clock)
        self.missions = Missions(
            self.store,
            self.clock,
            instance_id="factory-1",
            refusers={vp_id: lambda envelope: () for vp_id in (LANE, SECOND_LANE, "vp.nobody.configured")},
        )
        self._keys = itertools.count(1)

    # -- lanes

    async def lane(self, vp_id: str = LANE, **changes: Any) -> SessionRow:
        """Configure a lane."""
        return await self.registry.upsert_session(policy(vp_id, **changes))

    async def runtime(self, vp_id: str = LANE, *, name: str = "rt-1") -> "Runtime":
        """A runtime that has acquired the lane; a lane in recovery is made ready."""
        row = await self.registry.acquire_lease(vp_id, owner=f"{name}-owner", vp_runtime_id=name)
        runtime = Runtime(self, vp_id, f"{name}-owner", name, row.lease_epoch)
        if row.status == "recovering":
            await runtime.session(SessionTrigger.READY, outcome="resumed", executor_session_id="exec-1")
        return runtime

    async def working_lane(self, vp_id: str = LANE, **changes: Any) -> "Runtime":
        """A configured lane with a runtime."""
        await self.lane(vp_id, **changes)
        return await self.runtime(vp_id)

    async def status(self, vp_id: str = LANE) -> SessionRow:
        return (await self.registry.get_session(vp_id)).row

    async def operate(self, trigger: SessionTrigger, vp_id: str = LANE) -> SessionStepped:
        return await self.registry.set_status(vp_id, trigger, by=OPERATOR)

    # -- missions

    def envelope(self, **members: Any) -> dict[str, Any]:
        """A valid envelope with a key of its own; a member given as None is left out."""
        whole = {
            "vp_id": LANE,
            "mission_type": "coding",
            "objective": "Make the parser accept empty files.",
            "idempotency_key": f"{self.keys}-{next(self._keys)}",
        } | members
        return {name: value for name, value in whole.items() if value is not None}

    async def ask(
        self, envelope: Members, *, kind: MissionKind = MissionKind.DISPATCHED, requester: Requester = CALLER
    ) -> Dispatched:
        """Dispatch this very envelope."""
        return await self.missions.dispatch(envelope, requester, kind=kind)

    async def dispatch(self, *, kind: MissionKind = MissionKind.DISPATCHED, **members: Any) -> Stored:
        """Dispatch a new mission."""
        return (await self.ask(self.envelope(**members), kind=kind)).mission

    async def delegate(self, **members: Any) -> Stored:
        """Dispatch a mission that a gateway waits for."""
        return await self.dispatch(kind=MissionKind.DELEGATED, **members)

    async def row(self, mission_id: str) -> MissionRow:
        return (await self.registry.get_mission(mission_id)).row

    async def events(self, mission_id: str) -> tuple[Members, ...]:
        return (await self.registry.mission_events(mission_id, limit=10_000)).events

    async def last_event(self, mission_id: str) -> Members:
        return (await self.events(mission_id))[-1]

    async def event_types(self, mission_id: str) -> list[str]:
        return [event["type"].removeprefix("vp.mission.") for event in await self.events(mission_id)]

    async def session_event_types(self, vp_id: str = LANE) -> list[str]:
        events = await self.registry.session_events(vp_id)
        return [event["type"].removeprefix("vp.session.") for event in events]

    async def step(self, mission_id: str, trigger: MissionTrigger, by: By, **said: Any) -> Stepped:
        """One trigger for one mission by somebody who is not its lane."""
        command = MissionCommand(trigger=trigger, by=by, **said)
        return await self.store.execute(StepMission(mission_id=mission_id, command=command))

    async def cancel(self, mission_id: str) -> Stepped:
        return await self.missions.cancel(mission_id, CALLER)

    async def approve(self, mission_id: str, **content: Any) -> Stepped:
        return await self.step(mission_id, MissionTrigger.APPROVE, OPERATOR, content=content)

    async def take_fallback(self, row: MissionRow, **content: Any) -> Stepped:
        return await self.step(
            row.mission_id, MissionTrigger.TAKE_FALLBACK, GATEWAY, attempt_as_read=row.attempt, content=content
        )

    async def primary_ends(self, row: MissionRow, trigger: MissionTrigger = MissionTrigger.COMPLETE) -> Stepped:
        fence = Fence(attempt=row.attempt, holder=Holder.PRIMARY)
        return await self.step(row.mission_id, trigger, PRIMARY, fence=fence)

    # -- time

    async def pass_time(self, seconds: float, *, beating: "Runtime | None" = None) -> int:
        """Let time go by in steps of five seconds, with a look of the reconciler at each; answers the steps it took."""
        taken, left = 0, seconds
        while left > 0:
            self.clock.advance(min(5.0, left))
            left -= 5.0
            if beating is not None:
                await beating.renew()
            taken += await self.reconciler.tick()
        return taken

    async def lose_lease(self) -> None:
        """Nobody beats any more until the reconciler has seen a whole TTL of silence."""
        await self.reconciler.tick()
        await self.pass_time(TTL + 2.0)


@dataclass
class Runtime:
    """The process that holds a lane's lease, as its writes say it."""

    world: World
    vp_id: str
    owner: str
    name: str
    epoch: int

    @property
    def by(self) -> By:
        return By(kind=Actor.LANE, name=self.owner)

    def fence(self, row: MissionRow) -> Fence:
        return Fence(attempt=row.attempt, holder=Holder.LANE, lease_epoch=self.epoch)

    async def renew(self) -> Renewal:
        return await self.world.registry.heartbeat(self.vp_id, owner=self.owner, lease_epoch=self.epoch)

    async def release(self) -> SessionRow:
        return await self.world.registry.release_lease(self.vp_id, owner=self.owner, lease_epoch=self.epoch)

    async def session(self, trigger: SessionTrigger, **said: Any) -> SessionStepped:
        command = SessionCommand(trigger=trigger, by=self.by, owner=self.owner, lease_epoch=self.epoch, **said)
        return await self.world.store.execute(StepSession(vp_id=self.vp_id, command=command))

    def claim_operation(self, limit: int = 1, **changes: Any) -> ClaimMissions:
        values = {"vp_id": self.vp_id, "owner": self.owner, "lease_epoch": self.epoch, "limit": limit}
        return ClaimMissions(**values | changes)

    async def claim(self, limit: int = 1, **changes: Any) -> list[MissionRow]:
        claimed = await self.world.store.execute(self.claim_operation(limit, **changes))
        return [stored.row for stored in claimed]

    async def claim_one(self) -> MissionRow:
        (row,) = await self.claim()
        return row

    def step_operation(
        self,
        row: MissionRow,
        trigger: MissionTrigger,
        *,
        key: str | None = None,
        reason: ReasonCode | None = None,
        artifacts: tuple[Members, ...] = (),
        receipt: Members | None = None,
        **content: Any,
    ) -> StepMission:
        command = MissionCommand(
            trigger=trigger,
            by=self.by,
            fence=self.fence(row),
            reason=reason,
            idempotency_key=key,
            content=content,
        )
        return StepMission(mission_id=row.mission_id, command=command, artifacts=artifacts, receipt=receipt)

    async def say(self, row: MissionRow, trigger: MissionTrigger, **said: Any) -> Stepped:
        return await self.world.store.execute(self.step_operation(row, trigger, **said))

    async def report(self, row: MissionRow, **said: Any) -> Stepped:
        return await self.say(row, MissionTrigger.REPORT, **said)

    async def complete(self, row: MissionRow, **said: Any) -> Stepped:
        return await self.say(row, MissionTrigger.COMPLETE, **{"receipt": RECEIPT} | said)

    async def fail(self, row: MissionRow, **said: Any) -> Stepped:
        return await self.say(row, MissionTrigger.FAIL, **said)

    async def block(self, row: MissionRow, reason: ReasonCode = ReasonCode.APPROVAL_WANTED) -> Stepped:
        return await self.say(row, MissionTrigger.BLOCK, reason=reason)

    async def complete_and_claim(self, row: MissionRow) -> tuple[Stepped, tuple[Stored, ...]]:
        step = self.step_operation(row, MissionTrigger.COMPLETE, receipt=RECEIPT)
        return await self.world.store.execute(StepAndClaim(step=step, claim=self.claim_operation()))


def artifact(name: str = "out/diff.txt") -> Members:
    """A reference to an artifact."""
    return {"name": name, "sha256": "a" * 64, "size_bytes": 12}


def sqlite_table(path: Path, statement: str, *values: Any) -> list[dict[str, Any]]:
    """What a statement answers on a connection of its own to the SQLite file, beside the store."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(record) for record in connection.execute(statement, values)]


def postgres_table(url: str, statement: str, *values: Any) -> list[dict[str, Any]]:
    """What a statement, with `?` for its values, answers on a connection of its own, beside the store."""
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(statement.replace("?", "%s"), values).fetchall()


def parsed(documents: list[dict[str, Any]], column: str) -> list[Any]:
    """A column of JSON texts, read."""
    return [json.loads(record[column]) for record in documents]
