"""The operations on gateway sessions; their turns go over the socket beside."""

from typing import Any

from dragancorp.control_plane import ControlPlane
from dragancorp.gateway.session import GatewaySession
from dragancorp_contracts.api.records import Answer, Principal

OPERATES = "ops:write"


class SessionOperations:
    """The part of `OpsService` that is about gateway sessions."""

    @property
    def _plane(self) -> ControlPlane:
        raise NotImplementedError

    async def open_gateway_session(
        self, principal: Principal, *, document: dict[str, Any] | None = None, text: str | None = None
    ) -> Answer:
        """Open one."""
        session = self._plane.sessions.open(principal.name, (document or {}).get("session_id"))
        return Answer(status=201, body=session.as_json())

    async def get_gateway_session(self, principal: Principal, *, session_id: str) -> Answer:
        """Show one."""
        return Answer(body=session_of(self._plane, principal, session_id).as_json())

    async def cancel_gateway_session(
        self,
        principal: Principal,
        *,
        session_id: str,
        document: dict[str, Any] | None = None,
        text: str | None = None,
    ) -> Answer:
        """End its turn."""
        session = session_of(self._plane, principal, session_id)
        await session.cancel()
        return Answer(body=session.as_json())


def session_of(plane: ControlPlane, principal: Principal, session_id: str) -> GatewaySession:
    """The session: one's own, and an operator's any. Raises `session_unknown`."""
    owner = None if OPERATES in principal.scopes else principal.name
    return plane.sessions.find(owner, session_id)
