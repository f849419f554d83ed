"""The ASGI application of a plane: the operations API, the sessions' socket, and the operator's page."""

from typing import Any

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler
from litestar.types import ExceptionHandlersMap

from dragancorp.control_plane import ControlPlane
from dragancorp.embedded_plane import EmbeddedPlane
from dragancorp.errors import DraganError
from dragancorp.faces.api.authentication import authenticator
from dragancorp.faces.api.prefix import PrefixMiddleware
from dragancorp.faces.api.problems import answer_failure, answer_http_error, answer_refusal
from dragancorp.faces.api.service import PlaneService
from dragancorp.faces.api.session_socket import session_socket
from dragancorp.faces.dashboard import dashboard_handlers
from dragancorp.settings import Settings
from dragancorp.tokens_file import TokenBook, operator_token, read_tokens, worker_token
from dragancorp_contracts.api.controllers import build_handlers
from dragancorp_contracts.api.records import ApiProblem

EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    ApiProblem: answer_refusal,
    DraganError: answer_refusal,
    HTTPException: answer_http_error,
    Exception: answer_failure,
}


def asgi(plane: ControlPlane | EmbeddedPlane, *, tokens: TokenBook | None = None) -> Litestar:
    """The operations API and the operator's page of a plane, to serve or to mount.

    The plane's lifetime stays with whoever opened it.

    A mounted application hears nothing of its host's start-up and shutdown, so an `EmbeddedPlane` belongs into the
    host's lifespan; as long as it is not open every answer is 503 `plane_not_open`.
    `tokens` default to those of the environment (`UA_OPS_TOKEN`, `UA_INTERNAL_API_TOKEN`, `UA_TOKENS_FILE`); without
    any, only the public operations answer.
    """
    return Litestar(
        route_handlers=[*route_handlers(plane, tokens=tokens), *page_handlers(plane, tokens=tokens)],
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[PrefixMiddleware],
        openapi_config=None,  # the document is the contract's own
        logging_config=None,  # logging belongs to whoever runs the process
    )


def route_handlers(
    plane: ControlPlane | EmbeddedPlane, *, tokens: TokenBook | None = None
) -> list[HTTPRouteHandler | WebsocketRouteHandler]:
    """The handlers of `asgi`, for an application of one's own."""
    authenticate = authenticator(environment_tokens() if tokens is None else tokens, plane.clock)
    return [*build_handlers(PlaneService(plane), authenticate), session_socket(plane, authenticate)]


def page_handlers(plane: ControlPlane | EmbeddedPlane, *, tokens: TokenBook | None = None) -> list[Any]:
    """The handlers of the operator's page, at `/` and below."""
    return dashboard_handlers(plane, authenticator(environment_tokens() if tokens is None else tokens, plane.clock))


def environment_tokens(settings: Settings | None = None) -> TokenBook:
    """The tokens that the environment names. Raises `tokens_file_invalid`, `settings_invalid`."""
    settings = settings or Settings.from_environment()
    found = [operator_token(settings.ops_token.get_secret_value())] if settings.ops_token else []
    if settings.internal_api_token is not None:
        found.append(worker_token(settings.internal_api_token.get_secret_value()))
    if settings.tokens_file is not None:
        found += read_tokens(settings.tokens_file)
    return TokenBook(found)
