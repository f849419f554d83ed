"""IDM: one key, one request, one mission."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.session import MISSIONS
from dragancorp_conformance.target import new_key


def replayed(t: Trial, exchange: Exchange, mission_id: str) -> None:
    """Raise `Broken` unless this is the answer to a repeat."""
    found = t.answered(exchange, 200).get("mission_id")
    t.require(found == mission_id, f"the repeat made or found {found!r} instead of {mission_id!r}", exchange)
    marked = exchange.headers.get("idempotency-replayed")
    t.require(marked == "true", f"Idempotency-Replayed is {marked!r}", exchange)


def missions_of(t: Trial, key: str) -> list[dict[str, Any]]:
    """The missions with this key among the newest of the lane."""
    exchange = t.ask("GET", f"{MISSIONS}?vp_id={t.target.lane}&limit=200")
    found = t.answered(exchange, 200).get("missions") or []
    return [one for one in found if one.get("envelope", {}).get("idempotency_key") == key]


@check("IDM-1")
def the_same_request_again_is_the_same_mission(t: Trial) -> None:
    envelope = t.target.envelope()
    first = t.answered(t.ask("POST", MISSIONS, json_body=envelope), 201)
    replayed(t, t.ask("POST", MISSIONS, json_body=envelope), first["mission_id"])
    with t.case():
        # The same document, written in another way.
        text = json.dumps(dict(reversed(envelope.items())), indent=3, ensure_ascii=False)
        replayed(t, t.ask("POST", MISSIONS, content=text.encode()), first["mission_id"])
    with t.case():
        t.require(len(missions_of(t, envelope["idempotency_key"])) == 1, "there is not just one mission with the key")


@check("IDM-2")
def another_request_with_a_used_key_is_refused(t: Trial) -> None:
    envelope = t.target.envelope()
    first = t.answered(t.ask("POST", MISSIONS, json_body=envelope), 201)
    for changed in (
        envelope | {"objective": f"{envelope['objective']} differently"},
        envelope | {"priority_class": "interactive"},
        envelope | {"success_criteria": ["another"]},
    ):
        with t.case():
            t.refused(t.ask("POST", MISSIONS, json_body=changed), 422, "idempotency_key_reused")
    kept = t.mission(first["mission_id"])
    t.require(kept.get("envelope") == first.get("envelope"), "the first mission was changed by the refused request")


@check("IDM-3")
def racing_callers_make_one_mission(t: Trial) -> None:
    envelope = t.target.envelope()
    crowd = t.target.pace.crowd
    with ThreadPoolExecutor(crowd) as pool:
        answers = list(pool.map(lambda _: t.ask("POST", MISSIONS, json_body=envelope), range(crowd)))
    made = [one for one in answers if one.status == 201]
    t.require(
        len(made) == 1, f"{len(made)} of {crowd} callers made a mission; statuses {_statuses(answers)}", answers[0]
    )
    mission_id = made[0].members.get("mission_id", "")
    for exchange in answers:
        if exchange is not made[0]:
            replayed(t, exchange, mission_id)
    t.require(len(missions_of(t, envelope["idempotency_key"])) == 1, "there is not just one mission with the key")


def _statuses(answers: list[Exchange]) -> str:
    found = [one.status for one in answers]
    return ", ".join(f"{found.count(status)} times {status}" for status in sorted(set(found), key=str))


@check("IDM-4")
def what_was_assigned_does_not_count(t: Trial) -> None:
    envelope = t.target.envelope()
    first = t.answered(t.ask("POST", MISSIONS, json_body=envelope), 201)
    whole = first.get("envelope", {})
    for members in (["mission_id"], ["trace_id", "created_at"], ["source_instance_id"]):
        with t.case():
            said = {name: whole[name] for name in members if name in whole}
            replayed(t, t.ask("POST", MISSIONS, json_body=envelope | said), first["mission_id"])


@check("IDM-5")
def a_key_outlives_its_mission(t: Trial) -> None:
    envelope = t.target.envelope()
    first = t.answered(t.ask("POST", MISSIONS, json_body=envelope), 201)
    t.answered(t.cancelled(first["mission_id"]), 200)
    again = t.ask("POST", MISSIONS, json_body=envelope)
    replayed(t, again, first["mission_id"])
    t.require(again.members.get("state") == "cancelled", "the repeat shows another state than the mission is in", again)


@check("IDM-6")
def a_refused_request_uses_no_key_up(t: Trial) -> None:
    key = new_key()
    t.refused(
        t.ask("POST", MISSIONS, json_body=t.target.envelope(idempotency_key=key, objective="")), 422, "document_invalid"
    )
    t.answered(t.ask("POST", MISSIONS, json_body=t.target.envelope(idempotency_key=key)), 201)
