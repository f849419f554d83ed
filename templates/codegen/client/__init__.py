"""The client: one typed method for each served operation; imports no web framework."""

from .client import Client
from .transport import AnswerUnreadable, ProblemError, Reply, ServerUnreachable

__all__ = ["AnswerUnreadable", "Client", "ProblemError", "Reply", "ServerUnreachable"]
