"""Finding a lane and an envelope that an implementation takes, where none was named."""

from collections.abc import Iterator, Mapping
from typing import Any

from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.session import MISSIONS, Session
from dragancorp_conformance.target import new_key

AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
# A lane of commands takes what is on its allow list. None of these is ever run: the missions wait for a window that
# opens long after, and are cancelled.
COMMANDS = (["true"], ["echo", "conformance"], ["sh", "-c", "true"], ["python3", "--version"], ["git", "--version"])


class Unsuitable(Exception):  # noqa: N818
    """The implementation cannot be examined with what was given; the text says what to give."""


def minimal(lane: str) -> dict[str, Any]:
    """The smallest mission for a lane."""
    return {
        "vp_id": lane,
        "mission_type": "custom",
        "objective": "Conformance: nothing is to be done.",
        "traffic": "synthetic",
        "idempotency_key": "replaced",
    }


def suitable(session: Session, lane: str) -> tuple[str, Mapping[str, Any]]:
    """A lane and an envelope that it takes; any lane when `lane` is empty. Raises `Unsuitable`."""
    refused: Exchange | None = None
    for vp_id in [lane] if lane else _lanes(session):
        for envelope in _candidates(vp_id):
            asked = session.target.envelope(**envelope | {"idempotency_key": new_key()})
            exchange = session.ask("POST", MISSIONS, json_body=asked)
            if exchange.status in (200, 201):
                return vp_id, envelope
            refused = exchange
    if refused is None:
        raise Unsuitable("it lists no lane that takes missions; name one with --lane")
    said = f"{refused.status} {refused.code}: {refused.members.get('detail', '')}"
    where = f"the lane {lane} takes none" if lane else "no lane takes any"
    raise Unsuitable(f"{where} of the usual missions ({said}); give one with --mission FILE")


def _lanes(session: Session) -> list[str]:
    found = session.ask("GET", "/api/v1/vp/sessions").members.get("sessions") or []
    usable = [one for one in found if isinstance(one, dict) and one.get("status") not in ("retired", "paused")]
    return [str(one.get("vp_id")) for one in usable]


def _candidates(lane: str) -> Iterator[dict[str, Any]]:
    yield minimal(lane)
    for command in COMMANDS:
        extension = {"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": command}]}}
        yield minimal(lane) | {"mission_type": "automation", "extensions": [extension]}
