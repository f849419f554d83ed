"""What a mission's children use counts against its budget: judged in the transaction that reports it.

Nothing of it is stored: the sum is taken from the rows of the children, so it can never differ from them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from dragancorp.lifecycle import decide
from dragancorp.lifecycle.change import Refusal
from dragancorp.lifecycle.commands import By
from dragancorp.lifecycle.facts import MissionFacts
from dragancorp.lifecycle.mission import stop_at_budget
from dragancorp.lifecycle.mission_guards import over_budget
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry import statements
from dragancorp.registry.transaction import Transaction
from dragancorp_contracts.lifecycle import Actor, Holder, MissionState

JUDGED = ("llm_calls", "cost_microusd")
STORE = By(kind=Actor.STORE, name="registry")


def ancestors_of(tx: Transaction, mission_id: str) -> tuple[str, ...]:
    """The missions above one, the topmost first. Who is whose parent never changes, so nothing is locked."""
    found: list[str] = []
    above = tx.connection.execute(statements.PARENT_OF, {"mission_id": mission_id}).scalar()
    while above is not None:
        found.append(above)
        above = tx.connection.execute(statements.PARENT_OF, {"mission_id": above}).scalar()
    return tuple(reversed(found))


def used_below(tx: Transaction, row: MissionRow) -> Mapping[str, float]:
    """What all descendants have used; empty for a mission whose budget nobody judges by it."""
    if row.max_llm_calls is None and row.max_cost_microusd is None:
        return {}
    total: Counter[str] = Counter()
    waiting = [row.mission_id]
    while waiting:
        children = tx.connection.execute(statements.USAGE_OF_CHILDREN, {"mission_id": waiting.pop()}).all()
        for mission_id, usage in children:
            waiting.append(mission_id)
            total.update({name: usage.get(name, 0) for name in JUDGED})
    return total


def used_more(before: MissionRow, after: MissionRow) -> bool:
    """Whether a step raised what budgets are judged by."""
    return any(after.usage.get(name, 0) > before.usage.get(name, 0) for name in JUDGED)


def stop_exhausted(tx: Transaction, ancestors: Sequence[str]) -> str | None:
    """Block every ancestor that runs and has used up its budget; answers the lowest that has, running or not."""
    exhausted: str | None = None
    for mission_id in ancestors:
        row = tx.mission(mission_id).row
        below = used_below(tx, row)
        if row.terminal or not over_budget(row.usage, row.max_llm_calls, row.max_cost_microusd, below):
            continue
        exhausted = mission_id
        if row.state is MissionState.RUNNING and row.holder is Holder.LANE and row.cancel_requested_at is None:
            change = decide(
                row,
                stop_at_budget(row, by=STORE, below=below),
                MissionFacts(seconds_running=tx.stopwatch.seconds(row)),
                tx.now,
            )
            if not isinstance(change, Refusal):
                tx.save_mission(row, change)
    return exhausted


def excess_of_raise(tx: Transaction, row: MissionRow, raised: Mapping[str, object]) -> tuple[str, ...]:
    """In what a raised budget would be above the parent's, a sentence each."""
    if row.parent_mission_id is None:
        return ()
    parent = tx.parent(row.parent_mission_id).row
    found = []
    for limit in ("max_llm_calls", "max_cost_microusd"):
        wanted, most = raised.get(limit), getattr(parent, limit)
        if isinstance(wanted, int) and most is not None and wanted > most:
            found.append(f"{limit} may be at most {most}, as its parent's")
    return tuple(found)
