"""Who is let in by a control plane that the command line serves, and by which token the command line itself is."""

from dataclasses import dataclass

from dragancorp.cli.listening import is_loopback
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.settings import Settings
from dragancorp.tokens_file import TokenBook, new_token, operator_token, read_tokens

LOCAL_NAME = "local-cli"


@dataclass(frozen=True, kw_only=True)
class Access:
    """All tokens, and the text of the one that goes into `plane.json`."""

    book: TokenBook
    local_token: str
    configured: bool
    """Whether the environment names any token; without one the server serves loopback only."""


def access(settings: Settings, host: str) -> Access:
    """The tokens of UA_OPS_TOKEN and UA_TOKENS_FILE, and one for this run where no operator's token is set.

    Raises `tokens_file_invalid`; `settings_invalid` when another host could reach a server without configured tokens.
    """
    tokens = list(read_tokens(settings.tokens_file)) if settings.tokens_file is not None else []
    operator = settings.ops_token.get_secret_value() if settings.ops_token is not None else ""
    configured = bool(tokens) or bool(operator)
    if not configured and not is_loopback(host):
        raise DraganError(
            ErrorCode.SETTINGS_INVALID,
            f"--host is {host!r}, but no token is configured: set UA_OPS_TOKEN or UA_TOKENS_FILE, or serve 127.0.0.1",
        )
    if operator:
        tokens.append(operator_token(operator))
        return Access(book=TokenBook(tokens), local_token=operator, configured=configured)
    text = new_token()
    tokens.append(operator_token(text, name=LOCAL_NAME))
    return Access(book=TokenBook(tokens), local_token=text, configured=configured)
