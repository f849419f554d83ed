"""A turn as a mission's envelope: what the gateway sets itself comes first, but for the lane, which routing chose."""

from dataclasses import replace
from typing import Any

from dragancorp.gateway.turns import Turn
from dragancorp.jsonio import digest
from dragancorp.registry.identifiers import new_id

NOT_IN_SHADOW = ("callback", "idempotency_key", "mission_id", "priority_class")


def delegated_envelope(turn: Turn, vp_id: str) -> dict[str, Any]:
    """The mission that the turn waits for; the same turn again has the same key. Raises `UnicodeEncodeError`."""
    return {
        "mission_type": "coding",
        "priority_class": "interactive",
        "mission_id": new_id("m"),
        "objective": turn.text or "(no text)",
        # A digest: session and turn ids may be longer than a key, and no two pairs may share one.
        "idempotency_key": f"turn-{_name(turn)}",
        **turn.mission,
        "vp_id": vp_id,
    }


def shadow_envelope(turn: Turn, vp_id: str) -> dict[str, Any]:
    """The mission that runs beside the primary path: it calls nobody back and waits behind every other."""
    members = {name: value for name, value in turn.mission.items() if name not in NOT_IN_SHADOW}
    own = {"priority_class": "background", "idempotency_key": f"shadow-{_name(turn)}"}
    return delegated_envelope(replace(turn, mission=members), vp_id) | own


def _name(turn: Turn) -> str:
    return digest([turn.session_id, turn.turn_id or new_id("t")])
