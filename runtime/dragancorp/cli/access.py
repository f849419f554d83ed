"""Who is let in by a control plane that the command line serves, and by which token the command line itself is."""

from dataclasses import dataclass

from dragancorp.cli.listening import is_loopback
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.settings import Settings
from dragancorp.tokens_file import TokenBook, new_token, operator_token, read_tokens, worker_token

LOCAL_NAME = "local-cli"
LOCAL_WORKER_NAME = "local-worker"


@dataclass(frozen=True, kw_only=True)
class Access:
    """All tokens, and the texts of those that go into `plane.json`: an operator's, and one for workers on this host."""

    book: TokenBook
    local_token: str
    worker_token: str
    configured: bool
    """Whether the environment names any token; without one the server serves loopback only."""


def access(settings: Settings, host: str) -> Access:
    """The tokens of UA_OPS_TOKEN, UA_INTERNAL_API_TOKEN and UA_TOKENS_FILE, and for this run those that are not set.

    An operator's token does not run lanes, so the command line and the workers of this host have one each.
    Raises `tokens_file_invalid`; `settings_invalid` when another host could reach a server without configured tokens.
    """
    tokens = list(read_tokens(settings.tokens_file)) if settings.tokens_file is not None else []
    operator = settings.ops_token.get_secret_value() if settings.ops_token is not None else ""
    internal = settings.internal_api_token.get_secret_value() if settings.internal_api_token is not None else ""
    configured = bool(tokens) or bool(operator) or bool(internal)
    if not configured and not is_loopback(host):
        raise DraganError(
            ErrorCode.SETTINGS_INVALID,
            f"--host is {host!r}, but no token is configured: set UA_OPS_TOKEN or UA_TOKENS_FILE, or serve 127.0.0.1",
        )
    local, worker = operator or new_token(), internal or new_token()
    tokens.append(operator_token(local) if operator else operator_token(local, name=LOCAL_NAME))
    tokens.append(worker_token(worker) if internal else worker_token(worker, name=LOCAL_WORKER_NAME))
    return Access(book=TokenBook(tokens), local_token=local, worker_token=worker, configured=configured)
