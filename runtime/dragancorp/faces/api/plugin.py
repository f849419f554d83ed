"""The operations API inside a Litestar application of one's own."""

from litestar.config.app import AppConfig
from litestar.plugins import InitPluginProtocol
from litestar.router import Router

from dragancorp.control_plane import ControlPlane
from dragancorp.faces.api.app import EXCEPTION_HANDLERS, route_handlers
from dragancorp.tokens_file import TokenBook


class DragancorpPlugin(InitPluginProtocol):
    """`Litestar(plugins=[DragancorpPlugin(plane)])` serves the plane's API beside the application's own routes.

    Errors of these routes are problem details; the application's own error handling is left alone.
    """

    def __init__(self, plane: ControlPlane, *, tokens: TokenBook | None = None) -> None:
        self._plane = plane
        self._tokens = tokens

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the routes."""
        handlers = route_handlers(self._plane, tokens=self._tokens)
        app_config.route_handlers.append(Router("/", route_handlers=handlers, exception_handlers=EXCEPTION_HANDLERS))
        return app_config
