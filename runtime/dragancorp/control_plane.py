"""The composition root: one object that owns the registry, the reconciler and the lanes of this process.

plane = await ControlPlane.open("sqlite:///state.db", lanes="lanes.yaml")
async for event in plane.delegate(Turn(text="CODIE, ...", session_id="s1"), primary=my_agent):
    ...
await plane.close()
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import structlog

from dragancorp.clock import Clock, SystemClock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.catalogue import make_executor
from dragancorp.gateway.delegation import Delegation, Desk
from dragancorp.gateway.routing import Route, Router, RoutingReason
from dragancorp.gateway.sessions import GatewaySessions
from dragancorp.gateway.shadow import Shadows
from dragancorp.gateway.standings import Standings
from dragancorp.gateway.turn_counts import TurnCounts
from dragancorp.gateway.turns import EventT, Primary, Turn, closing
from dragancorp.lanes.configuration import ConfiguredLane, configure_lanes
from dragancorp.lanes.lane_runtime import LaneRuntime
from dragancorp.lanes.store_link import StoreLink
from dragancorp.lanes_file import Lane, read_lanes
from dragancorp.lifecycle.commands import By
from dragancorp.missions.commands import Missions
from dragancorp.missions.decisions import Decisions
from dragancorp.missions.reconciler import Reconciler, stop
from dragancorp.missions.retention import Retention
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.identifiers import new_id
from dragancorp.registry.migrations import Phase, Revision, SchemaState
from dragancorp.registry.operations import ConfigureLane, ProbeWrite
from dragancorp.registry.port import Store, lane_topic
from dragancorp.registry.queries import GetLane, ListLanes, ReadSnapshot
from dragancorp.registry.rollouts import ReadCounters
from dragancorp.registry.sqlite import SqliteStore
from dragancorp.rollout.controller import RolloutController
from dragancorp.rollout.effect import RolloutLane
from dragancorp.rollout.policy import RolloutPolicy, standard_policy
from dragancorp.rollout.rollouts import Rollouts
from dragancorp.rollout.snapshot import snapshot
from dragancorp.rules import checked
from dragancorp.settings import Settings
from dragancorp_contracts.lifecycle import Actor, SessionState
from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent

if TYPE_CHECKING:
    from dragancorp.registry.postgres import PostgresStore

SQLITE_SCHEME = "sqlite:///"
POSTGRES_SCHEMES = ("postgresql://", "postgres://")
FLUSH_SECONDS = 1.0
TURNS_TOLD = timedelta(minutes=59)  # with the present one, sixty minutes
FIRST_LEASE_SECONDS = 5.0  # how long opening waits for the lanes of this process; a lease takes one commit
FIRST_LEASE_PAUSE_SECONDS = 0.01  # a lease alone wakes nobody who watches a lane, so opening looks too

log = structlog.get_logger("dragancorp.control_plane")


class ControlPlane:
    """A running control plane. Open it with `ControlPlane.open`; it is an async context manager too."""

    def __init__(
        self,
        store: Store,
        lanes: Sequence[ConfiguredLane],
        clock: Clock,
        settings: Settings,
        *,
        data: Path,
        policy: RolloutPolicy | None = None,
        primary: Primary[Any] | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.lanes: Mapping[str, ConfiguredLane] = {lane.vp_id: lane for lane in lanes}
        self.instance_id = settings.instance_id
        self.missions = Missions(
            store,
            clock,
            instance_id=settings.instance_id,
            refusers={lane.vp_id: make_executor(lane.lane["executor"]).refuse for lane in lanes},
        )
        self._gateway = By(kind=Actor.GATEWAY, name=self.instance_id, way="gateway")
        self.shadows = Shadows(store, self.missions, clock, self._gateway)
        self.sessions = GatewaySessions(clock, None if primary is None else partial(self.delegate, primary=primary))
        self.decisions = Decisions(store, self.missions, clock)
        self.standings = Standings(store, clock)
        self.router = Router(
            [Route(lane.vp_id, lane.lane, lane.flags, partial(self.standings.of, lane.vp_id)) for lane in lanes]
        )
        self.rollouts = Rollouts(
            store,
            clock,
            policy or standard_policy(),
            [RolloutLane(vp_id=lane.vp_id, lane=lane.lane, flags=lane.flags) for lane in lanes],
            changed=self.standings.refresh,
        )
        self.controller = RolloutController(self.rollouts, store, clock, instance_id=settings.instance_id)
        self.reconciler = Reconciler(store, clock)
        self.retention = Retention(store, clock, data / "archive", keep_days=settings.retention_days)
        self._turns = TurnCounts()
        self._runtimes: list[LaneRuntime] = []
        self._serving: list[asyncio.Task[None]] = []
        self._loops: list[asyncio.Task[None]] = []
        self._closed = False

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        lanes: str | Path | Sequence[Lane],
        data: Path | None = None,
        serve_lanes: bool = True,
        clock: Clock | None = None,
        settings: Settings | None = None,
        primary: Primary[Any] | None = None,
    ) -> Self:
        """Open the registry at `url` (`sqlite:///path`, `postgresql://...`), configure the lanes, start the reconciler.

        `lanes` is a lanes file or lane configurations; `data` is where lanes and archives are kept (default: beside the
        file, or the present folder for PostgreSQL); with `serve_lanes` this process works for its enabled lanes
        itself, and they hold their leases when this returns, unless one cannot get it within `FIRST_LEASE_SECONDS`.
        `primary` answers the turns of gateway sessions; without one there are none.
        Errors: `lanes_file_invalid`, `document_invalid` for configurations that break a rule, `database_owned`,
        `database_newer`, `data_folder_unusable`, `settings_invalid`, `storage_failed`, `storage_busy`.
        """
        clock = clock or SystemClock()
        settings = settings or Settings.from_environment()
        beside = Path() if is_postgres(url) else sqlite_path(url).parent
        known = read_lanes(Path(lanes)) if isinstance(lanes, str | Path) else checked_lanes(lanes)
        folder = data or beside
        configured = configure_lanes(known, folder / "lanes")
        policy = RolloutPolicy.read(settings.rollout_policy_file)
        store = await open_store(url, clock)
        plane = cls(store, configured, clock, settings, data=folder, policy=policy, primary=primary)
        try:
            await plane._start(serve_lanes=serve_lanes)
        except BaseException:
            await plane.close()
            raise
        return plane

    async def _start(self, *, serve_lanes: bool) -> None:
        by = By(kind=Actor.CONTROL_PLANE, name=self.instance_id)
        if self.store.sole_owner:
            for record in await self.store.read(ListLanes()):
                if record.row.lease_embedded:
                    # Its holder lived in the process that owned this file before us, and that process is gone: the
                    # file's lock is ours now. Nobody has to wait for a TTL to know it. A worker of its own lives on.
                    await self.reconciler.declare_dead(record)
        for lane in self.lanes.values():
            await self.store.execute(ConfigureLane(policy=lane.policy, by=by))
        self._loops = [
            asyncio.create_task(self.reconciler.run(), name="reconciler"),
            asyncio.create_task(self._flush_turns(), name="turn counts"),
            asyncio.create_task(self.retention.run(), name="retention"),
        ]
        if any(lane.flags.on for lane in self.lanes.values()):  # with every flag off nothing is read
            await self.standings.refresh()
            self._loops += [
                asyncio.create_task(self.standings.run(), name="standings"),
                asyncio.create_task(self.controller.run(), name="rollout controller"),
            ]
        if serve_lanes:
            self._serve_lanes()
            await self._until_held()

    async def _until_held(self) -> None:
        """Wait for the lanes' leases: a turn that comes first thing would else find no runtime and fall back.

        Ends when all are held, and in any case after `FIRST_LEASE_SECONDS`: what a lane lacks is its own trouble.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LEASE_SECONDS):
                for lane in self.lanes.values():
                    with self.store.watch(lane_topic(lane.vp_id)) as commits:
                        while lane.flags.on and await self._wants_a_lease(lane.vp_id):
                            await commits.wait(FIRST_LEASE_PAUSE_SECONDS)

    async def _wants_a_lease(self, vp_id: str) -> bool:
        record = await self.store.read(GetLane(vp_id=vp_id))
        return record is not None and not record.row.held and record.row.status is not SessionState.RETIRED

    def _serve_lanes(self) -> None:
        link = StoreLink(self.store, embedded=True)
        runtime_id = new_id("r")
        for lane in self.lanes.values():
            if not lane.flags.on:
                log.info("the lane is off", action="lane.off", vp_id=lane.vp_id)
                continue
            runtime = LaneRuntime(lane.setup(), link, self.clock, vp_runtime_id=runtime_id)
            self._runtimes.append(runtime)
            self._serving.append(asyncio.create_task(runtime.run(), name=f"lane {lane.vp_id}"))

    async def delegate(self, turn: Turn, *, primary: Primary[EventT]) -> AsyncGenerator[TurnEvent | EventT, None]:
        """Answer a turn by the lane it is meant for, or by the primary path; the caller sees which, and why.

        Yields `TurnEvent` for the lane's part and the primary's own events as they are. Raises what the primary
        raises, and `DelegationRefusedError` when the mission ended for a reason that has no fallback. With the
        lane's flags off nothing is read or written, and the primary's answer is passed on untouched.
        """
        decision = self.router.decide(turn, await self._unfinished(turn))
        self._turns.add(decision, self.clock.wall())
        if decision.delegate and decision.route is not None:
            lane = self.lanes[decision.route.vp_id]
            desk = Desk(store=self.store, missions=self.missions, clock=self.clock, gateway=self._gateway)
            answer: AsyncIterator[TurnEvent | EventT] = Delegation(
                desk, decision.route, lane.policy, turn, primary
            ).events()
        elif decision.reason is RoutingReason.SHADOW_MODE and decision.route is not None:
            answer = self.shadows.beside(turn, self.lanes[decision.route.vp_id].policy, primary(turn))
        else:
            answer = primary(turn)
        async with closing(answer) as events:
            async for event in events:
                yield event

    async def explain(self, turn: Turn) -> dict[str, Any]:
        """Where a turn would go and what each lane says to it, as `specs/gateway-turn` has it; counts nothing."""
        unfinished = await self._unfinished(turn)
        return {
            "decision": self.router.decide(turn, unfinished).as_json(),
            "considered": [decision.as_json() for decision in self.router.considered(turn, unfinished)],
        }

    async def _unfinished(self, turn: Turn) -> dict[str, int]:
        """Unfinished missions of the lanes for which they decide; no lane that is off is among them."""
        found = {}
        for vp_id in self.router.to_count(turn):
            record = await self.store.read(GetLane(vp_id=vp_id))
            found[vp_id] = 0 if record is None else sum(record.unfinished.values())
        return found

    async def snapshot(self, vp_id: str, *, mission_limit: int = 50, event_limit: int = 200) -> dict[str, Any]:
        """The metrics snapshot of a lane. Raises `lane_unknown`."""
        if vp_id not in self.lanes:
            raise DraganError(ErrorCode.LANE_UNKNOWN, f"there is no lane {vp_id!r}")
        await self._turns.flush(self.store)
        now = self.clock.wall()
        parts = await self.store.read(
            ReadSnapshot(
                vp_id=vp_id,
                mission_limit=mission_limit,
                event_limit=event_limit,
                turns_since=now.replace(second=0, microsecond=0) - TURNS_TOLD,
            )
        )
        return snapshot(vp_id, parts, mission_limit=mission_limit, event_limit=event_limit, now=now)

    async def prometheus_text(self) -> str:
        """How the plane and its lanes are, in Prometheus' text format."""
        from dragancorp import __version__
        from dragancorp.rollout.prometheus import LaneMeasured, PlaneMeasured

        await self._turns.flush(self.store)
        counters = await self.store.read(ReadCounters())
        measured = [
            LaneMeasured(
                record=record,
                counters=counters.get(record.row.vp_id, {}),
                judged=await self.rollouts.judged(record.row.vp_id),
            )
            for record in await self.store.read(ListLanes())
            if record.row.vp_id in self.lanes
        ]
        return PlaneMeasured(measured, version=__version__, instance_id=self.instance_id).text()

    async def check_writable(self) -> None:
        """Return once a write has been committed. Raises `storage_busy`, `storage_failed`, `shutting_down`."""
        await self.store.execute(ProbeWrite())

    async def _flush_turns(self) -> None:
        """Write counted turns every second until cancelled; a refusal keeps them for the next time."""
        while True:
            await self.clock.sleep(FLUSH_SECONDS)
            try:
                await self._turns.flush(self.store)
            except DraganError as error:
                log.warning("turn counts wait", action="turns.flush_failed", code=error.code.value)

    async def close(self, *, grace_seconds: float = 0.0) -> None:
        """Stop claiming, let running missions finish within the grace, hand back the rest, let go. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            await self.sessions.close()
            await self.shadows.close()
            await self._stop_lanes(grace_seconds)
            for loop in self._loops:
                await stop(loop)
            with contextlib.suppress(DraganError):
                await self._turns.flush(self.store)
        finally:
            await self.store.close()  # whatever failed before: the file must be free for the next owner

    async def _stop_lanes(self, grace_seconds: float) -> None:
        for runtime in self._runtimes:
            runtime.stop_claims()
        if not self._serving:
            return
        if grace_seconds > 0:
            await asyncio.wait(self._serving, timeout=grace_seconds)
        for runtime in self._runtimes:
            runtime.hand_back()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def open_store(url: str, clock: Clock) -> Store:
    """The registry at a URL, by the adapter that the URL names. Errors: those of `ControlPlane.open` for a database."""
    if is_postgres(url):
        return await postgres_adapter().open(url, clock=clock, scheduler=PriorityScheduler())
    return await SqliteStore.open(sqlite_path(url), clock=clock, scheduler=PriorityScheduler())


def schema_at(url: str) -> SchemaState:
    """Which schema the database at a URL has; only reads. Errors: those of `ControlPlane.open` for a database."""
    if is_postgres(url):
        return postgres_adapter().schema(url)
    return SqliteStore.schema(sqlite_path(url))


async def upgrade_schema(url: str, through: Phase) -> tuple[Revision, ...]:
    """Run the migrations through a phase; answers what was run. Errors: those of `ControlPlane.open` for a database.

    A file has one owner, who runs all of them when it opens it: nobody older is left.
    """
    if is_postgres(url):
        return await asyncio.to_thread(postgres_adapter().upgrade, url, through)
    before = schema_at(url)
    await (await open_store(url, SystemClock())).close()
    return before.pending


def postgres_adapter() -> "type[PostgresStore]":
    """The adapter, whose driver is an extra. Raises `settings_invalid` with the command that installs it."""
    try:
        from dragancorp.registry.postgres import PostgresStore
    except ImportError as error:
        raise DraganError(
            ErrorCode.SETTINGS_INVALID,
            f"a postgresql:// URL needs the driver psycopg ({error}): pip install 'dragancorp[postgres]'",
        ) from error
    return PostgresStore


def is_postgres(url: str) -> bool:
    """Whether the URL names a PostgreSQL database."""
    return url.startswith(POSTGRES_SCHEMES)


def sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///` URL. Raises `settings_invalid` for any other."""
    if not url.startswith(SQLITE_SCHEME) or len(url) == len(SQLITE_SCHEME):
        raise DraganError(
            ErrorCode.SETTINGS_INVALID,
            f"the database URL {url!r} is neither of the form sqlite:///PATH nor postgresql://HOST/DATABASE",
        )
    return Path(url.removeprefix(SQLITE_SCHEME))


def checked_lanes(lanes: Sequence[Lane]) -> Sequence[Lane]:
    """Lanes that were given as documents, held to the rules of a lanes file. Raises `document_invalid`."""
    if lanes:  # a plane may do without; a file that names none is a mistake
        checked("lanes-file", {"lanes": [dict(lane) for lane in lanes]})
    return lanes
