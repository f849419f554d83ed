"""What is done on the pages: forms sent by POST, each with the sign-in's own word, each the deed of a token.

Every deed is an operation of the API, under the same scopes and with the same refusals; the ledger says that it came by
the page.
"""

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.faces.api.requester import WAY
from dragancorp.faces.api.service import PlaneService
from dragancorp.faces.dashboard.rendering import page, part, redirect
from dragancorp.faces.dashboard.sign_in import SignIn, SignIns, refuse_forgery
from dragancorp.faces.dashboard.views import need
from dragancorp_contracts.api.records import Principal

AnyRequest = Request[Any, Any, Any]
LONGEST_REASON = 2_000
AT_ONCE = 500
ON_LANE = {"drain": "drain_lane", "resume": "resume_lane", "reset": "reset_lane"}
ON_MISSION = {
    "cancel": "cancel_mission",
    "approve": "approve_mission",
    "deny": "deny_mission",
    "retry": "retry_mission",
}
ON_ROLLOUT = {
    "advance": "advance_rollout",
    "hold": "hold_rollout",
    "lift": "hold_rollout",
    "rollback": "rollback_rollout",
    "capture": "capture_evidence",
}


class Actions:
    """The deeds of the pages of one plane."""

    def __init__(self, service: PlaneService, sign_ins: SignIns) -> None:
        self._service = service
        self._sign_ins = sign_ins

    async def on_lane(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Response[Any]:
        """Drain, resume or reset."""
        form = await _form(sign_in, request)
        vp_id, operation = request.path_params["vp_id"], _operation(ON_LANE, request)
        need(principal, operation)
        await self._ask(operation, principal, vp_id=vp_id, document={"reason": _reason(form)}, text="")
        return redirect(f"/lanes/{part(vp_id)}")

    async def on_mission(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Response[Any]:
        """Cancel, approve, deny or retry."""
        form = await _form(sign_in, request)
        mission_id, operation = request.path_params["mission_id"], _operation(ON_MISSION, request)
        need(principal, operation)
        document: dict[str, Any] = {"reason": _reason(form)}
        if operation == "approve_mission" and form.get("request_id"):
            document["request_id"] = form["request_id"]
        done = await self._ask(operation, principal, mission_id=mission_id, document=document, text="")
        return redirect(f"/missions/{part(done.body['mission_id'])}")

    async def on_rollout(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Response[Any]:
        """Advance, hold, lift the hold, roll back, or capture evidence."""
        form = await _form(sign_in, request)
        deed, vp_id, operation = (
            request.path_params["deed"],
            request.path_params["vp_id"],
            _operation(ON_ROLLOUT, request),
        )
        need(principal, operation)
        document: dict[str, Any] = {} if deed == "capture" else {"reason": _reason(form)}
        if deed == "advance":
            document["to"] = form.get("to", "")
        elif deed == "lift":
            document["lift"] = True
        elif deed == "capture" and form.get("reason"):
            document["notes"] = _reason(form)
        await self._ask(operation, principal, vp_id=vp_id, document=document, text="")
        return redirect(f"/rollout/{part(vp_id)}")

    async def cancel_missions(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Response[Any]:
        """Cancel several missions: first shown, then, when that is confirmed, done."""
        form = await request.form()
        refuse_forgery(sign_in, _text(form.get("word")), request.headers)
        need(principal, "cancel_mission")
        ids = [str(one) for one in form.getall("mission_id", [])][:AT_ONCE]
        if not form.get("confirmed"):
            found = [(await self._service.get_mission(principal, mission_id=one)).body for one in ids]
            would = [one for one in found if one["state"] in ("queued", "running", "blocked")]
            return page(
                "cancel_missions.html", sign_in=sign_in, here="missions", would=would, others=len(found) - len(would)
            )
        reason = _reason({"reason": _text(form.get("reason"))})
        refused: list[tuple[str, str]] = []
        for one in ids:
            try:
                await self._ask("cancel_mission", principal, mission_id=one, document={"reason": reason}, text="")
            except DraganError as error:  # ended meanwhile: the others are cancelled all the same
                refused.append((one, error.detail))
        return page("cancelled_missions.html", sign_in=sign_in, here="missions", asked=len(ids), refused=refused)

    async def _ask(self, operation: str, principal: Principal, **arguments: Any) -> Any:
        way = WAY.set("page")
        try:
            return await getattr(self._service, operation)(principal, **arguments)
        finally:
            WAY.reset(way)


async def _form(sign_in: SignIn, request: AnyRequest) -> dict[str, str]:
    form = await request.form()
    refuse_forgery(sign_in, _text(form.get("word")), request.headers)
    return {name: _text(value) for name, value in form.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _operation(known: Mapping[str, str], request: AnyRequest) -> str:
    deed = request.path_params["deed"]
    if deed not in known:
        raise DraganError(ErrorCode.ROUTE_UNKNOWN, f"nothing here is done by {deed!r}")
    return known[deed]


def _reason(form: Mapping[str, str]) -> str:
    reason = form.get("reason", "").strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise DraganError(
            ErrorCode.DOCUMENT_INVALID, f"a reason has 1 to {LONGEST_REASON} characters: it is for the ledger"
        )
    return reason
