"""RAW: addresses and queries that nobody should send."""

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.checks.bodies import alive, head, sent
from dragancorp_conformance.session import MISSIONS

PATHS = (
    f"{MISSIONS}/%00",
    f"{MISSIONS}/%ff",
    f"{MISSIONS}/%c0%af",
    f"{MISSIONS}/..%2f..%2fetc%2fpasswd",
    f"{MISSIONS}/../../../etc/passwd",
    f"{MISSIONS}/a%2fb",
    f"{MISSIONS}/%zz",
    f"{MISSIONS}/%",
    f"{MISSIONS}//events",
    f"{MISSIONS}/x%0d%0aX-Injected:%20yes",
    f"{MISSIONS}/%F0%9F%9A%80",
    "/api/v1/vp/sessions/vp.%00",
    f"{MISSIONS}/{'x' * 5000}",
    f"{MISSIONS}/;drop",
    "/%2e%2e/",
    "/" + "a/" * 1000,
)
QUERIES = (
    "%ff",
    "limit=%ff",
    "limit=%",
    "=",
    "&&&=&",
    "limit=1%00",
    "x=" + "y" * 8000,
    "&".join(["a=1"] * 500),
    "limit=1e2",
)


@check("RAW-18")
def odd_addresses_are_refused(t: Trial) -> None:
    lines = [f"GET {path} HTTP/1.1" for path in PATHS] + [f"GET {MISSIONS}?{query} HTTP/1.1" for query in QUERIES]
    for line in lines:
        with t.case():
            exchange = sent(t, head(t, line=line), method="GET")
            status = exchange.status
            t.require(status is None or 300 <= status < 500, f"it answered {status}", exchange)
            t.require("x-injected" not in exchange.headers, "what stood in the address has become a header", exchange)
    alive(t)
