"""The operations API inside a Litestar application of one's own."""

from typing import Any

from litestar.config.app import AppConfig
from litestar.middleware import DefineMiddleware
from litestar.plugins import InitPluginProtocol
from litestar.router import Router
from litestar.utils import join_paths

from dragancorp.control_plane import ControlPlane
from dragancorp.embedded_plane import EmbeddedPlane
from dragancorp.faces.api.prefix import PrefixMiddleware
from dragancorp.faces.application import EXCEPTION_HANDLERS, page_handlers, route_handlers
from dragancorp.tokens_file import TokenBook


class DragancorpPlugin(InitPluginProtocol):
    """`Litestar(plugins=[DragancorpPlugin(plane)])` serves the plane's API beside the application's own routes.

    `path` is where it stands there. An `EmbeddedPlane` is opened at the application's start-up and closed at its
    shutdown; a `ControlPlane` stays with whoever opened it. The operator's page is served with it, except at `/`.
    Errors of these routes are problem details; the application's own error handling is left alone.
    """

    def __init__(
        self, plane: ControlPlane | EmbeddedPlane, *, path: str = "/", tokens: TokenBook | None = None
    ) -> None:
        self._plane = plane
        self._path = path
        self._tokens = tokens

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the routes, and the plane's lifespan where it is ours."""
        handlers: list[Any] = [*route_handlers(self._plane, tokens=self._tokens)]
        prefix = join_paths([app_config.path, self._path])
        if self._path.strip("/"):  # at the application's own root its own front page stands
            handlers += page_handlers(self._plane, tokens=self._tokens)
        router = Router(
            self._path,
            route_handlers=handlers,
            exception_handlers=EXCEPTION_HANDLERS,
            middleware=[DefineMiddleware(PrefixMiddleware, path=prefix)],
        )
        app_config.route_handlers.append(router)
        if isinstance(self._plane, EmbeddedPlane):
            # The first to be entered: the application's own start-up finds the plane open.
            app_config.lifespan.insert(0, self._plane.lifespan)
        return app_config
