"""Under which path the API stands in the application around it, so that what it says of addresses is true there."""

from contextvars import ContextVar

from litestar.types import ASGIApp, Receive, Scope, Send

_PREFIX: ContextVar[str] = ContextVar("dragancorp_api_prefix", default="")


def prefixed(path: str) -> str:
    """An absolute path of the API as the caller of this request has to ask for it."""
    return _PREFIX.get() + path


class PrefixMiddleware:
    """Notes the prefix of each request: where a host mounted the application, and `path` of a router in it."""

    def __init__(self, app: ASGIApp, path: str = "") -> None:
        self._app = app
        self._path = path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        _PREFIX.set(scope.get("root_path", "").rstrip("/") + self._path)
        await self._app(scope, receive, send)
