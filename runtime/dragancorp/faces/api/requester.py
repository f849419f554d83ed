"""Who asks, as the missions and rollouts of a plane know it."""

from contextvars import ContextVar

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lifecycle.commands import By
from dragancorp.missions.commands import Requester
from dragancorp_contracts.api.records import Principal
from dragancorp_contracts.lifecycle import Actor

WAY: ContextVar[str] = ContextVar("dragancorp_way", default="api")
"""By which way a request came; the operator's page says so of its own."""


def requester_of(principal: Principal, *, reason: str | None = None) -> Requester:
    """The principal as a requester: an operator by its scope, and what it says for a reason."""
    operator = "ops:write" in principal.scopes
    return Requester(
        by=By(kind=Actor.OPERATOR if operator else Actor.CALLER, name=principal.name, reason=reason, way=WAY.get()),
        source_instance_id=principal.source_instance_id,
        vp_ids=principal.vp_ids,
    )


def lane_admitted(principal: Principal, vp_id: str, *, reason: str | None = None) -> By:
    """Who acts on a lane. Raises `lane_unknown` for one that the token may not see."""
    requester = requester_of(principal, reason=reason)
    if not requester.may_see(vp_id):
        raise DraganError(ErrorCode.LANE_UNKNOWN, f"there is no lane {vp_id!r}")
    return requester.by
