"""Laying an overlay over a base profile, inside the global caps.

For each value the first of these that speaks decides: a mandatory policy of the base profile, the global caps, the
overlay, the base profile's default. Limits are the smallest of what policies and caps allow and what was asked for.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dragancorp.overlays.resolution import Group, Resolution, Resolved, Source
from dragancorp.rules.overlay import KINDS, Capability, catalogue, named, required

Document = Mapping[str, Any]

CAPPED_OBSERVABILITY = {"retention_days": "max_retention_days", "trace_percent": "max_trace_percent"}
"""Values of `observability` that the caps bound, and the cap that does."""


def resolved(base: Document, overlay: Document, caps: Document) -> Resolution:
    """What holds, for documents that keep their own contracts; `findings` says whether they fit together."""
    return Resolution(
        agents=_switched("agents", base, overlay, caps),
        skills=_switched("skills", base, overlay, caps),
        prompts=_prompts(overlay),
        limits=_limits(base, overlay, caps),
        observability=_observability(base, overlay, caps),
    )


def _switched(kind: str, base: Document, overlay: Document, caps: Document) -> Group:
    return {
        name: _switch((entry_kind, name), base, overlay, caps)
        for entry_kind, name in catalogue(base)
        if entry_kind == kind
    }


def _switch(capability: Capability, base: Document, overlay: Document, caps: Document) -> Resolved:
    kind, name = capability
    if (policy := forbidding_policy(capability, base)) is not None:
        return Resolved(value=False, source=Source.MANDATORY_POLICY, by=policy)
    if capability in required(base):
        return Resolved(value=True, source=Source.MANDATORY_POLICY, by=requiring_policy(capability, base))
    if capability in named(caps.get("forbidden", {})):
        return Resolved(value=False, source=Source.CAP, by=caps["caps_id"])
    switches = overlay.get(kind, {})
    if name in switches.get("enable", ()) or name in switches.get("disable", ()):
        return Resolved(value=name in switches.get("enable", ()), source=Source.OVERLAY, by=overlay["overlay_id"])
    return Resolved(value=capability in named(base["defaults"]), source=Source.BASE_DEFAULT, by=base["profile_id"])


def forbidding_policy(capability: Capability, base: Document) -> str | None:
    """The first policy that forbids it, if any does."""
    for policy in base["policies"]:
        if capability in named(policy.get("forbid", {})):
            return str(policy["policy_id"])
    return None


def requiring_policy(capability: Capability, base: Document) -> str:
    """The first policy that requires it, or what needs it. Raises `KeyError` when none does."""
    for policy in base["policies"]:
        if capability in required({**base, "policies": [policy]}):
            return str(policy["policy_id"])
    raise KeyError(capability)


def _prompts(overlay: Document) -> Group:
    return {
        one["agent"]: Resolved(
            value={"mode": one.get("mode", "append"), "prompt": one["prompt"]},
            source=Source.OVERLAY,
            by=overlay["overlay_id"],
        )
        for one in overlay.get("prompt_overlays", ())
    }


def ceilings(base: Document, caps: Document) -> Iterable[tuple[Source, str, Document]]:
    """Whatever sets the largest limits: the policies of the base profile, then the caps."""
    for policy in base["policies"]:
        yield Source.MANDATORY_POLICY, policy["policy_id"], policy.get("limits", {})
    yield Source.CAP, caps["caps_id"], caps.get("limits", {})


def _limits(base: Document, overlay: Document, caps: Document) -> Group:
    result: Group = {
        name: Resolved(value=value, source=Source.BASE_DEFAULT, by=base["profile_id"])
        for name, value in base["defaults"].get("limits", {}).items()
    }
    for name, value in overlay.get("limits", {}).items():
        result[name] = Resolved(value=value, source=Source.OVERLAY, by=overlay["overlay_id"])
    for source, by, limits in ceilings(base, caps):
        for name, most in limits.items():
            if name not in result or result[name].value > most:
                result[name] = Resolved(value=most, source=source, by=by)
    return result


def _observability(base: Document, overlay: Document, caps: Document) -> Group:
    result: Group = {
        name: Resolved(value=value, source=Source.BASE_DEFAULT, by=base["profile_id"])
        for name, value in base["defaults"].get("observability", {}).items()
    }
    for name, value in overlay.get("observability", {}).items():
        result[name] = Resolved(value=value, source=Source.OVERLAY, by=overlay["overlay_id"])
    for policy in base["policies"]:
        for name, value in policy.get("observability", {}).items():
            result[name] = Resolved(value=value, source=Source.MANDATORY_POLICY, by=policy["policy_id"])
    for name, cap in CAPPED_OBSERVABILITY.items():
        if cap in caps and name in result and result[name].value > caps[cap]:
            result[name] = Resolved(value=caps[cap], source=Source.CAP, by=caps["caps_id"])
    return result


def switched_by(capability: Capability, overlay: Document) -> str | None:
    """The pointer at which the overlay switches it, if it does."""
    kind, name = capability
    for way in ("enable", "disable"):
        names = overlay.get(kind, {}).get(way, ())
        if name in names:
            return f"/{kind}/{way}/{list(names).index(name)}"
    return None


def all_on(resolution: Resolution) -> set[Capability]:
    """Every capability that is on."""
    return {(kind, name) for kind in KINDS for name in resolution.on(kind)}
