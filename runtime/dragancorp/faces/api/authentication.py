"""Who calls: a bearer token, or the header that operators know."""

from collections.abc import Callable, Mapping

from dragancorp.clock import Clock
from dragancorp.errors import ErrorCode
from dragancorp.tokens_file import TokenBook
from dragancorp_contracts.api.records import ApiProblem, Principal

OPS_HEADER = "x-ua-ops-token"


def authenticator(tokens: TokenBook, clock: Clock) -> Callable[[Mapping[str, str]], Principal]:
    """A function from a request's headers to its principal; raises `unauthenticated`, saying nothing of what exists."""

    def authenticate(headers: Mapping[str, str]) -> Principal:
        presented = _presented(headers)
        if presented is None:
            raise _nobody("the request carries no token")
        token = tokens.find(presented, clock.wall())
        if token is None:
            raise _nobody("the token is unknown or has expired")
        return Principal(
            name=token.name,
            scopes=token.scopes,
            vp_ids=token.vp_ids,
            source_instance_id=token.source_instance_id,
        )

    return authenticate


def _presented(headers: Mapping[str, str]) -> str | None:
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return text.strip()
    return headers.get(OPS_HEADER, "").strip() or None


def _nobody(detail: str) -> ApiProblem:
    return ApiProblem(ErrorCode.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": "Bearer"})
