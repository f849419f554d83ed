"""What a worker has in its hands while it runs a mission."""

from dataclasses import dataclass

from dragancorp.clock import Clock
from dragancorp.executors.protocol import Executor, ProcessRunner
from dragancorp.executors.workspace import Workspace
from dragancorp.lanes.agent_session import AgentSession
from dragancorp.lanes.keeper import Keeper
from dragancorp.lanes.link import LaneLink


@dataclass(frozen=True, kw_only=True)
class Hands:
    """What a worker works with."""

    link: LaneLink
    keeper: Keeper
    executor: Executor
    processes: ProcessRunner
    workspace: Workspace
    clock: Clock
    session: AgentSession | None = None  # the agent's own; None: the mission has nothing to do with it
