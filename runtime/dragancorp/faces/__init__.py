"""The faces of a control plane: what others see of it."""

from dragancorp.faces.api.app import asgi
from dragancorp.faces.api.plugin import DragancorpPlugin

__all__ = ["DragancorpPlugin", "asgi"]
