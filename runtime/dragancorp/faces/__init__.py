"""The faces of a control plane: what others see of it."""

from dragancorp.faces.application import asgi
from dragancorp.faces.plugin import DragancorpPlugin

__all__ = ["DragancorpPlugin", "asgi"]
