"""PAG: pages hold every mission once, newest first, whatever happens meanwhile."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.session import MISSIONS

SOME = 7
MOST_PAGES = 400


def walk(
    t: Trial, query: str, *, limit: int, wanted: set[str], between: Callable[[int], None] | None = None
) -> list[str]:
    """Mission ids page by page until all `wanted` were seen or the list ends."""
    seen: list[str] = []
    cursor = ""
    for page in range(MOST_PAGES):
        exchange = t.ask("GET", f"{MISSIONS}?limit={limit}{query}{cursor}")
        members = t.answered(exchange, 200)
        found = [str(one["mission_id"]) for one in _missions(members)]
        t.require(len(found) <= limit, f"a page of {limit} holds {len(found)}", exchange)
        following = members.get("next_cursor")
        t.require(following is None or found, "a page is empty, yet it says that more follow", exchange)
        nothing_new = bool(found) and set(found) <= set(seen)
        seen += found
        if following is None or nothing_new or wanted <= set(seen):
            break
        cursor = f"&cursor={quote(str(following), safe='')}"
        if between is not None:
            between(page)
    return seen


def _missions(members: Any) -> list[dict[str, Any]]:
    found = members.get("missions")
    return found if isinstance(found, list) else []


@check("PAG-1")
def pages_hold_every_mission_once(t: Trial) -> None:
    made = [t.dispatched()["mission_id"] for _ in range(SOME)]
    for limit in (1, 2, 3, 500):
        with t.case():
            seen = walk(t, f"&vp_id={t.target.lane}", limit=limit, wanted=set(made))
            twice = sorted({one for one in seen if seen.count(one) > 1})
            t.require(not twice, f"with pages of {limit} these stand on two pages: {', '.join(twice[:5])}")
            lost = [one for one in made if one not in seen]
            t.require(not lost, f"with pages of {limit} these are on no page: {', '.join(lost[:5])}")


@check("PAG-2")
def the_newest_come_first(t: Trial) -> None:
    made = [t.dispatched()["mission_id"] for _ in range(SOME)]
    seen = walk(t, f"&vp_id={t.target.lane}", limit=3, wanted=set(made))
    ours = list(dict.fromkeys(one for one in seen if one in made))
    t.require(ours == list(reversed(made))[: len(ours)], f"dispatched in the order {made}, they stand as {ours}")


@check("PAG-3")
def a_cursor_that_no_page_gave_is_refused(t: Trial) -> None:
    for cursor in ("x", "AAAA", "%20", "-1", "0", "%C3%A4", "x" * 300, "cDE6LTE", "null"):
        with t.case():
            exchange = t.ask("GET", f"{MISSIONS}?cursor={cursor}")
            t.refused(exchange, 400, "parameter_invalid")
            pointers = [one.get("pointer") for one in exchange.members.get("violations") or [] if isinstance(one, dict)]
            t.require("/query/cursor" in pointers, "the violation does not name /query/cursor", exchange)


@check("PAG-4")
def pages_stay_put_while_missions_come(t: Trial) -> None:
    made = [t.dispatched()["mission_id"] for _ in range(SOME)]

    def another_comes(_page: int) -> None:
        t.dispatched()

    seen = walk(t, f"&vp_id={t.target.lane}", limit=2, wanted=set(made), between=another_comes)
    twice = sorted({one for one in seen if seen.count(one) > 1})
    t.require(not twice, f"with missions coming in between these stand on two pages: {', '.join(twice[:5])}")
    lost = [one for one in made if one not in seen]
    t.require(not lost, f"with missions coming in between these are on no page: {', '.join(lost[:5])}")


@check("PAG-5")
def filters_hold_on_every_page(t: Trial) -> None:
    lane = t.target.lane
    queued, ended = t.dispatched()["mission_id"], t.dispatched()["mission_id"]
    t.answered(t.cancelled(ended), 200)
    for query, member, value, within, without in (
        ("state=queued", "state", "queued", queued, ended),
        ("state=cancelled", "state", "cancelled", ended, queued),
        (f"vp_id={lane}", "vp_id", lane, queued, None),
        ("vp_id=vp.conformance.nobody", "vp_id", "", None, queued),
        ("parked=true", "parked", True, None, queued),
    ):
        with t.case():
            exchange = t.ask("GET", f"{MISSIONS}?limit=100&{query}")
            found = _missions(t.answered(exchange, 200))
            others = [one for one in found if one.get(member, False) != value]
            t.require(not others, f"{query} lets {others[0].get('mission_id') if others else ''} through", exchange)
            names = [one.get("mission_id") for one in found]
            t.require(within is None or within in names, f"{query} hides {within}", exchange)
            t.require(without not in names, f"{query} shows {without}", exchange)
            if not found:
                t.require(
                    exchange.members.get("next_cursor") is None, "nothing is there, yet more is to follow", exchange
                )
