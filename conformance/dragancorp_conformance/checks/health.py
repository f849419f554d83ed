"""HLT: a load balancer learns whether it is alive and ready."""

from dragancorp_conformance.checks import Trial, check


@check("HLT-1")
def it_says_that_it_is_alive(t: Trial) -> None:
    exchange = t.ask("GET", "/healthz", token=None)
    t.require(t.answered(exchange, 200).get("status") == "ok", "its status is not ok", exchange)


@check("HLT-2")
def it_says_whether_it_is_ready(t: Trial) -> None:
    exchange = t.ask("GET", "/readyz", token=None)
    t.require(t.answered(exchange, 200).get("status") == "ready", "its status is not ready", exchange)


@check("HLT-3")
def lanes_are_listed_and_shown_alike(t: Trial) -> None:
    exchange = t.ask("GET", "/api/v1/vp/sessions")
    found = {one.get("vp_id"): one for one in t.answered(exchange, 200).get("sessions") or [] if isinstance(one, dict)}
    t.require(t.target.lane in found, f"the lane {t.target.lane} is not among {sorted(map(str, found))}", exchange)
    shown = t.ask("GET", f"/api/v1/vp/sessions/{t.target.lane}")
    members = t.answered(shown, 200)
    # What a heartbeat moves may differ between the two.
    for name in ("vp_id", "vp_session_id", "continuity_id", "created_at"):
        with t.case():
            t.require(members.get(name) == found[t.target.lane].get(name), f"list and lane differ in {name}", shown)
