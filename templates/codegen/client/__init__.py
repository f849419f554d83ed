"""The client, asynchronous and blocking: one typed method for each served operation; imports no web framework."""

from .answers import AnswerUnreadable, ProblemError, Reply, ServerUnreachable
from .client import Client
from .sync_client import SyncClient

__all__ = ["AnswerUnreadable", "Client", "ProblemError", "Reply", "ServerUnreachable", "SyncClient"]
