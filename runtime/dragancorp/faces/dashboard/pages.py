"""The pages, all by GET: they read and change nothing. What they show comes from the operations of the API."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.static_files import create_static_files_router

from dragancorp.control_plane import ControlPlane
from dragancorp.embedded_plane import EmbeddedPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.faces.api.service import PlaneService
from dragancorp.faces.dashboard.actions import Actions
from dragancorp.faces.dashboard.rendering import HERE, page, redirect
from dragancorp.faces.dashboard.sign_in import COOKIE, LASTS_SECONDS, Authenticate, SignIn, SignIns, is_foreign
from dragancorp.faces.dashboard.views import Views, need
from dragancorp_contracts.api.exchange import respond
from dragancorp_contracts.api.operations import OPERATIONS
from dragancorp_contracts.api.records import ApiProblem, Principal

AnyRequest = Request[Any, Any, Any]
Shown = Response[Any]
VIEWS = [
    ("All", {}),
    ("Waiting", {"state": "queued"}),
    ("Running", {"state": "running"}),
    ("Wanting a decision", {"state": "blocked"}),
    ("Failed", {"state": "failed"}),
    ("Parked", {"parked": "true"}),
]


def dashboard_handlers(plane: ControlPlane | EmbeddedPlane, authenticate: Authenticate) -> list[Any]:
    """The route handlers of the operator's page."""
    sign_ins = SignIns(authenticate, plane.clock)
    service = PlaneService(plane)
    pages = Pages(sign_ins, service, Views(service), Actions(service, sign_ins))
    return [*pages.handlers(), create_static_files_router(path="/page", directories=[HERE / "static"])]


class Pages:
    """The pages of one plane."""

    def __init__(self, sign_ins: SignIns, service: PlaneService, views: Views, actions: Actions) -> None:
        self._sign_ins = sign_ins
        self._service = service
        self._views = views
        self._actions = actions

    def handlers(self) -> list[HTTPRouteHandler]:
        """Every route."""
        looks = {
            "/": self._lanes,
            "/lanes/{vp_id:str}": self._lane,
            "/missions": self._missions,
            "/missions/{mission_id:str}": self._mission,
            "/rollout/{vp_id:str}": self._rollout,
            "/missions/{mission_id:str}/artifact": self._artifact,
            "/recovery": self._recovery,
        }
        deeds = {
            "/lanes/{vp_id:str}/{deed:str}": self._actions.on_lane,
            "/missions/{mission_id:str}/{deed:str}": self._actions.on_mission,
            "/rollout/{vp_id:str}/{deed:str}": self._actions.on_rollout,
            "/cancel-missions": self._actions.cancel_missions,
        }
        return [
            *(_route(get, path, partial(self._look, look)) for path, look in looks.items()),
            *(_route(post, path, partial(self._do, deed)) for path, deed in deeds.items()),
            _route(get, "/sign-in", self._ask),
            _route(post, "/sign-in", self._sign_in),
            _route(post, "/sign-out", self._sign_out),
        ]

    async def _look(self, look: Callable[..., Awaitable[Shown]], request: AnyRequest) -> Shown:
        found = self._sign_ins.find(request.cookies.get(COOKIE))
        if found is None:
            return redirect("/sign-in")
        try:
            return await look(*found, request)
        except (DraganError, ApiProblem) as error:
            return _trouble(found[0], error)

    async def _do(self, deed: Callable[..., Awaitable[Shown]], request: AnyRequest) -> Shown:
        found = self._sign_ins.find(request.cookies.get(COOKIE))
        if found is None:
            return redirect("/sign-in")
        try:
            return await deed(*found, request)
        except (DraganError, ApiProblem) as error:
            return _trouble(found[0], error)

    async def _ask(self, request: AnyRequest) -> Shown:
        return page("sign_in.html", problem=None)

    async def _sign_in(self, request: AnyRequest) -> Shown:
        form = await request.form()
        if is_foreign(request.headers):
            return page("sign_in.html", status=400, problem="Sign in on this page itself.")
        try:
            one = self._sign_ins.begin(str(form.get("token", "")).strip())
        except DraganError:
            return page("sign_in.html", status=401, problem="This server does not know the token, or it has expired.")
        cookie = Cookie(
            key=COOKIE,
            value=one.name,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
            path="/",
            max_age=int(LASTS_SECONDS),
        )
        return redirect("/", cookies=[cookie])

    async def _sign_out(self, request: AnyRequest) -> Shown:
        if not is_foreign(request.headers):
            self._sign_ins.end(request.cookies.get(COOKIE))
        return redirect("/sign-in", cookies=[Cookie(key=COOKIE, value="", path="/", max_age=0)])

    async def _lanes(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Shown:
        return page("lanes.html", sign_in=sign_in, here="lanes", lanes=await self._views.lanes(principal))

    async def _lane(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Shown:
        lane = await self._views.lane(principal, request.path_params["vp_id"])
        return page("lane.html", sign_in=sign_in, here="lanes", **lane)

    async def _missions(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Shown:
        asked = {name: value for name, value in request.query_params.items() if value}
        found = await self._views.missions(principal, asked)
        return page("missions.html", sign_in=sign_in, here="missions", views=VIEWS, asked=asked, **found)

    async def _mission(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Shown:
        found = await self._views.mission(principal, request.path_params["mission_id"], request.query_params)
        raw = json.dumps(found["mission"], indent=2)
        return page("mission.html", sign_in=sign_in, here="missions", raw=raw, **found)

    async def _artifact(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Shown:
        """A file of a mission, to be saved: the API's own answer."""
        need(principal, "download_artifact")
        answer = await self._service.download_artifact(
            principal,
            mission_id=request.path_params["mission_id"],
            name=str(request.query_params.get("name", "")),
            range=request.headers.get("range"),
        )
        return respond(OPERATIONS["download_artifact"], answer)

    async def _rollout(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Shown:
        found = await self._views.rollout(principal, request.path_params["vp_id"])
        return page("rollout.html", sign_in=sign_in, here="lanes", **found)

    async def _recovery(self, sign_in: SignIn, principal: Principal, request: AnyRequest) -> Shown:
        return page("recovery.html", sign_in=sign_in, here="recovery", **await self._views.recovery(principal))


def _route(method: Any, path: str, answer: Callable[[AnyRequest], Awaitable[Shown]]) -> HTTPRouteHandler:
    async def handle(request: AnyRequest) -> Response[Any]:
        return await answer(request)

    handler: HTTPRouteHandler = method(path, include_in_schema=False, status_code=200)(handle)
    return handler


def _trouble(sign_in: SignIn, error: DraganError | ApiProblem) -> Shown:
    if isinstance(error, ApiProblem):
        error = DraganError(error.code, error.detail, violations=error.violations, facts=error.facts)
    status = 400 if error.code is ErrorCode.UNAUTHENTICATED else error.entry.status
    return page("trouble.html", status=status, sign_in=sign_in, here="", problem=error.problem())
