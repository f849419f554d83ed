"""The operator's page: what a plane's lanes, missions and rollouts are like, and what is done about it."""

from dragancorp.faces.dashboard.pages import dashboard_handlers

__all__ = ["dashboard_handlers"]
