"""Who looks at the page: a token once, then a cookie that means nothing outside this process.

The cookie holds a random name of a sign-in that the process remembers, never the token. It ends with the process, with
the token, or after half a day. Every form carries a word of the sign-in's own, and comes from this very page.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp_contracts.api.records import ApiProblem, Principal

COOKIE = "dragan_sign_in"
LASTS_SECONDS = 12 * 3600.0
AT_MOST = 1_000
Authenticate = Callable[[Mapping[str, str]], Principal]


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """One person who is signed in. `word` stands in every form that this person sends."""

    name: str
    token: str
    word: str
    ends_at: float


class SignIns:
    """The sign-ins of one process."""

    def __init__(self, authenticate: Authenticate, clock: Clock) -> None:
        self._authenticate = authenticate
        self._clock = clock
        self._known: OrderedDict[str, SignIn] = OrderedDict()

    def begin(self, token: str) -> SignIn:
        """Sign in by a token. Raises `unauthenticated`."""
        self._principal(token)
        one = SignIn(
            name=secrets.token_urlsafe(32),
            token=token,
            word=secrets.token_urlsafe(32),
            ends_at=self._clock.monotonic() + LASTS_SECONDS,
        )
        self._known[one.name] = one
        while len(self._known) > AT_MOST:
            self._known.popitem(last=False)
        return one

    def end(self, name: str | None) -> None:
        """Sign out."""
        self._known.pop(name or "", None)

    def find(self, name: str | None) -> tuple[SignIn, Principal] | None:
        """The sign-in that a cookie names, with what its token may do now; None: nobody is signed in."""
        one = self._known.get(name or "")
        if one is None or one.ends_at < self._clock.monotonic():
            self.end(name)
            return None
        try:
            return one, self._principal(one.token)
        except DraganError:
            self.end(name)  # the token has expired meanwhile
            return None

    def _principal(self, token: str) -> Principal:
        try:
            return self._authenticate({"authorization": f"Bearer {token}"})
        except ApiProblem as refused:
            raise DraganError(refused.code, refused.detail) from refused


def is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a form was sent from elsewhere."""
    origin = headers.get("origin")
    elsewhere = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    return elsewhere or (origin is not None and urlsplit(origin).netloc != headers.get("host"))


def refuse_forgery(sign_in: SignIn, word: str | None, headers: Mapping[str, str]) -> None:
    """Raise `unauthenticated` for a form that this page did not send."""
    if is_foreign(headers) or not hmac.compare_digest((word or "").encode(), sign_in.word.encode()):
        raise DraganError(ErrorCode.UNAUTHENTICATED, "the form was not sent from this page, or from an older sign-in")
