"""Finding the step: the generated tables, read in order of precedence."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from dragancorp.lifecycle.change import Refusal
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import Actor, Guard, Transition
from dragancorp_contracts.lifecycle import Refusal as RefusalRow

Holds = Callable[[str], bool]
StateT = TypeVar("StateT", bound=StrEnum)
TriggerT = TypeVar("TriggerT", bound=StrEnum)


def choose(
    transitions: Iterable[Transition[StateT, TriggerT]],
    refusals: Iterable[RefusalRow[StateT, TriggerT]],
    guards: Mapping[str, Guard],
    *,
    state: StateT | None,
    trigger: TriggerT,
    actor: Actor,
    holds: Holds,
) -> Transition[StateT, TriggerT] | Refusal:
    """The step that answers `trigger` in `state` (None: nothing exists yet), or why there is none.

    A row applies when its conditions in `when` all hold; then its actor must be permitted and each of its guards
    must hold, and the first that does not gives the refusal's code. `holds` tells whether a named condition holds.
    """
    row = _first_applying(transitions, state, trigger, holds)
    if row is None:
        return Refusal(
            code=_refusal_code(refusals, state, trigger),
            detail=f"no step answers {trigger!r} in the state {state!r}",
            facts={"state": state, "trigger": trigger},
        )
    if actor not in row.who:
        return Refusal(
            code=ErrorCode.ACTOR_NOT_PERMITTED,
            detail=f"{actor.value!r} may not do {trigger!r} (row {row.id})",
            facts={"actor": actor.value, "row": row.id},
        )
    for name in row.guards:
        if not holds(name):
            guard = guards[name]
            return Refusal(
                code=guard.refusal or ErrorCode.TRANSITION_REFUSED,
                detail=f"{trigger!r} needs: {guard.description}",
                facts={"state": state, "trigger": trigger, "guard": name, "row": row.id},
            )
    return row


def _first_applying(
    transitions: Iterable[Transition[StateT, TriggerT]], state: StateT | None, trigger: TriggerT, holds: Holds
) -> Transition[StateT, TriggerT] | None:
    for row in transitions:
        starts_here = state in row.sources if state is not None else not row.sources
        if starts_here and trigger in row.triggers and all(holds(name) for name in row.when):
            return row
    return None


def _refusal_code(
    refusals: Iterable[RefusalRow[StateT, TriggerT]], state: StateT | None, trigger: TriggerT
) -> ErrorCode:
    for row in refusals:
        if state in row.sources and (not row.triggers or trigger in row.triggers):
            return row.code
    return ErrorCode.TRANSITION_REFUSED
