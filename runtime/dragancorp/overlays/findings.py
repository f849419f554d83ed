"""Everything that is wrong when an overlay meets its base profile and the global caps: the rules OVR-3 to OVR-13."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from dragancorp.overlays.finding import Finding, Place
from dragancorp.overlays.layers import (
    CAPPED_OBSERVABILITY,
    Document,
    all_on,
    ceilings,
    forbidding_policy,
    requiring_policy,
    resolved,
    switched_by,
)
from dragancorp.overlays.resolution import Resolution
from dragancorp.rules import violations
from dragancorp.rules.overlay import KINDS, Capability, catalogue, named, required

_CONTRACTS = {Place.BASE: "base-profile", Place.OVERLAY: "agent-skill-overlay", Place.CAPS: "control-plane-caps"}


def findings(base: Document, overlay: Document, caps: Document) -> list[Finding]:
    """Every finding, in the order of the rules; an empty list when the overlay fits.

    Each document is held to its own contract first. What they come to together is only looked at when all three keep
    theirs.
    """
    documents = {Place.BASE: base, Place.OVERLAY: overlay, Place.CAPS: caps}
    found = [finding for place, document in documents.items() for finding in _own_contract(place, document)]
    return found or list(_together(base, overlay, caps))


def _own_contract(place: Place, document: object) -> Iterator[Finding]:
    contract = _CONTRACTS[place]
    for one in violations(contract, document):
        fix = f"write it as {contract} has it: `dragan spec show {contract}`"
        yield Finding(rule=one.rule, document=place, pointer=one.pointer, message=one.message, fix=fix)


def _together(base: Document, overlay: Document, caps: Document) -> Iterator[Finding]:
    resolution = resolved(base, overlay, caps)
    yield from _right_base(base, overlay)
    yield from _known(base, overlay)
    yield from _policies_kept(base, overlay, caps)
    yield from _needs_met(base, overlay, caps, resolution)
    yield from _limits_kept(base, overlay, caps)
    yield from _observability_kept(base, overlay, caps)
    yield from _spoken_to(base, overlay, resolution)
    yield from _not_too_much(overlay, caps, resolution)
    yield from _room_for_policies(base, caps)


def _finding(rule: str, pointer: str, message: str, fix: str, place: Place = Place.OVERLAY) -> Finding:
    return Finding(rule=rule, document=place, pointer=pointer, message=message, fix=fix)


def _right_base(base: Document, overlay: Document) -> Iterator[Finding]:
    wanted = overlay["base_profile"]
    for rule, member in (("OVR-3", "profile_id"), ("OVR-4", "version")):
        if wanted[member] != base[member]:
            message = f"it is written for {member} {wanted[member]}, and this base profile is {base[member]}"
            fix = f"give the base profile it names, or check it against this one and write {base[member]}"
            yield _finding(rule, f"/base_profile/{member}", message, fix)
            return  # another profile's versions say nothing


def _known(base: Document, overlay: Document) -> Iterator[Finding]:
    known = {kind: [entry["name"] for entry in base["catalogue"][kind]] for kind in KINDS}
    for kind in KINDS:
        for way in ("enable", "disable"):
            for index, name in enumerate(overlay.get(kind, {}).get(way, ())):
                yield from _unknown(kind, name, f"/{kind}/{way}/{index}", known)
    for index, one in enumerate(overlay.get("prompt_overlays", ())):
        yield from _unknown("agents", one["agent"], f"/prompt_overlays/{index}/agent", known)


def _unknown(kind: str, name: str, pointer: str, known: dict[str, list[str]]) -> Iterator[Finding]:
    if name in known[kind]:
        return
    other = next((one for one in KINDS if one != kind and name in known[one]), None)
    near = get_close_matches(name, known[kind], n=1)
    if near:
        fix = f"write {near[0]}, if that is meant"
    elif other is not None:
        fix = f"{name} is one of the {other}: put it there"
    else:
        fix = f"take it out, or add it to the catalogue; there are: {', '.join(sorted(known[kind])) or 'none'}"
    yield _finding("OVR-5", pointer, f"the catalogue has no {name} among the {kind}", fix)


def _policies_kept(base: Document, overlay: Document, caps: Document) -> Iterator[Finding]:
    must, banned_here = required(base), named(caps.get("forbidden", {}))
    for kind in KINDS:
        for index, name in enumerate(overlay.get(kind, {}).get("disable", ())):
            if (kind, name) in must:
                policy = requiring_policy((kind, name), base)
                message = f"the policy {policy} requires {name} to be on"
                yield _finding("OVR-6", f"/{kind}/disable/{index}", message, f"take {name} out of {kind}.disable")
        for index, name in enumerate(overlay.get(kind, {}).get("enable", ())):
            by = forbidding_policy((kind, name), base)
            if by is not None or (kind, name) in banned_here:
                message = f"the policy {by} forbids {name}" if by else f"the caps {caps['caps_id']} forbid {name}"
                yield _finding("OVR-7", f"/{kind}/enable/{index}", message, f"take {name} out of {kind}.enable")


def _needs_met(base: Document, overlay: Document, caps: Document, resolution: Resolution) -> Iterator[Finding]:
    on, entries = all_on(resolution), catalogue(base)
    for capability in sorted(on):
        kind, name = capability
        for need in sorted(named(entries[capability].get("requires", {})) - on):
            needed_kind, needed = need
            place = switched_by(capability, overlay) or switched_by(need, overlay) or ""
            one, other = kind.removesuffix("s"), needed_kind.removesuffix("s")
            message = f"the {one} {name} is on, and the {other} {needed} is not, which it needs"
            chosen = name in overlay.get(kind, {}).get("enable", ())
            without = f"take {name} out of {kind}.enable" if chosen else f"add {name} to {kind}.disable"
            barred = forbidding_policy(need, base) is not None or need in named(caps.get("forbidden", {}))
            with_it = "" if barred else f"{_way_on(need, overlay)}, or "
            yield _finding("OVR-8", place, message, with_it + without)


def _way_on(capability: Capability, overlay: Document) -> str:
    kind, name = capability
    if name in overlay.get(kind, {}).get("disable", ()):
        return f"take {name} out of {kind}.disable"
    return f"add {name} to {kind}.enable"


def _limits_kept(base: Document, overlay: Document, caps: Document) -> Iterator[Finding]:
    for name, wanted in overlay.get("limits", {}).items():
        allowed = [(limits[name], source, by) for source, by, limits in ceilings(base, caps) if name in limits]
        if not allowed:
            continue
        most, source, by = min(allowed, key=lambda one: one[0])
        if wanted > most:
            message = f"{wanted} is more than {most}, which the {source.value.replace('_', ' ')} {by} allows"
            yield _finding("OVR-9", f"/limits/{name}", message, f"write {most} or less")


def _observability_kept(base: Document, overlay: Document, caps: Document) -> Iterator[Finding]:
    for name, wanted in overlay.get("observability", {}).items():
        pointer = f"/observability/{name}"
        fixed = [policy for policy in base["policies"] if name in policy.get("observability", {})]
        if fixed and fixed[0]["observability"][name] != wanted:
            message = f"the policy {fixed[0]['policy_id']} fixes it"
            yield _finding("OVR-10", pointer, message, "leave it out")
        most = caps.get(CAPPED_OBSERVABILITY.get(name, ""))
        if most is not None and wanted > most:
            message = f"{wanted} is more than {most}, which the caps {caps['caps_id']} allow"
            yield _finding("OVR-10", pointer, message, f"write {most} or less")


def _spoken_to(base: Document, overlay: Document, resolution: Resolution) -> Iterator[Finding]:
    known: set[Capability] = set(catalogue(base))
    for index, one in enumerate(overlay.get("prompt_overlays", ())):
        agent = one["agent"]
        if ("agents", agent) in known and agent not in resolution.on("agents"):
            fix = f"add {agent} to agents.enable, or take the prompt out"
            yield _finding("OVR-11", f"/prompt_overlays/{index}/agent", f"the agent {agent} is off", fix)


def _not_too_much(overlay: Document, caps: Document, resolution: Resolution) -> Iterator[Finding]:
    said = sum(len(one["prompt"]) for one in overlay.get("prompt_overlays", ()))
    counted: Sequence[tuple[str, int, str, str]] = (
        ("max_agents", len(resolution.on("agents")), "/agents", "agents are on"),
        ("max_skills", len(resolution.on("skills")), "/skills", "skills are on"),
        ("max_prompt_characters", said, "/prompt_overlays", "characters of prompts are said"),
    )
    for cap, count, pointer, what in counted:
        if count > caps.get(cap, count):
            place = pointer if pointer[1:] in overlay else ""
            message = f"{count} {what}, and the caps {caps['caps_id']} allow {caps[cap]}"
            yield _finding("OVR-12", place, message, f"bring it down by {count - caps[cap]}")


def _room_for_policies(base: Document, caps: Document) -> Iterator[Finding]:
    must = required(base)
    for kind in KINDS:
        for index, name in enumerate(caps.get("forbidden", {}).get(kind, ())):
            if (kind, name) in must:
                policy = requiring_policy((kind, name), base)
                message = f"the policy {policy} of {base['profile_id']} requires {name}"
                fix = f"use another base profile here, or take {name} out of forbidden.{kind}"
                yield _finding("OVR-13", f"/forbidden/{kind}/{index}", message, fix, Place.CAPS)
    for policy in base["policies"]:
        for name, value in policy.get("observability", {}).items():
            cap = CAPPED_OBSERVABILITY.get(name, "")
            if value > caps.get(cap, value):
                message = f"the policy {policy['policy_id']} of {base['profile_id']} fixes {name} at {value}"
                fix = f"use another base profile here, or write {value} or more"
                yield _finding("OVR-13", f"/{cap}", message, fix, Place.CAPS)
