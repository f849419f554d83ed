"""Rules of base profiles and overlays.

Those that look at a profile, an overlay and the global caps together have their ids here too, and are checked where
the three meet, in `dragancorp.overlays`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dragancorp.rules.rule import Breach, Rule, RulesByContract, parts, repeated

KINDS = ("agents", "skills")

Capability = tuple[str, str]
"""Its kind, `agents` or `skills`, and its name."""


def catalogue(base: Any) -> dict[Capability, Any]:
    """The catalogue's entries by kind and name."""
    return {(kind, entry["name"]): entry for kind in KINDS for entry in base["catalogue"][kind]}


def named(capabilities: Mapping[str, Any]) -> set[Capability]:
    """What an object with `agents` and `skills` names; either may be left out."""
    return {(kind, name) for kind in KINDS for name in capabilities.get(kind, ())}


def with_needs(wanted: set[Capability], entries: Mapping[Capability, Any]) -> set[Capability]:
    """The capabilities and all that they need, directly or not; what is not in the catalogue needs nothing."""
    reached: set[Capability] = set()
    waiting = list(wanted)
    while waiting:
        capability = waiting.pop()
        if capability not in reached:
            reached.add(capability)
            waiting += named(entries.get(capability, {}).get("requires", {}))
    return reached


def required(base: Any) -> set[Capability]:
    """What the mandatory policies require, with all that it needs."""
    return with_needs({one for policy in base["policies"] for one in named(policy.get("require", {}))}, catalogue(base))


def forbidden(base: Any) -> set[Capability]:
    """What the mandatory policies forbid."""
    return {one for policy in base["policies"] for one in named(policy.get("forbid", {}))}


def _catalogue_once(base: Any) -> Iterator[Breach]:
    for kind in KINDS:
        for pointer, name in repeated(parts(base, ("catalogue", kind, "*", "name"))):
            yield pointer, f"{name} stands twice among the {kind}"


def _names_known(base: Any) -> Iterator[Breach]:
    known = catalogue(base)
    places: list[tuple[str, ...]] = [("defaults",), ("policies", "*", "require"), ("policies", "*", "forbid")]
    places += [("catalogue", kind, "*", "requires") for kind in KINDS]
    for place in places:
        for kind in KINDS:
            for pointer, name in parts(base, (*place, kind, "*")):
                if (kind, name) not in known:
                    yield pointer, f"the catalogue has no {name} among the {kind}"


def _policies_once(base: Any) -> Iterator[Breach]:
    for pointer, name in repeated(parts(base, ("policies", "*", "policy_id"))):
        yield pointer, f"the policy {name} stands twice"


def _policies_agree(base: Any) -> Iterator[Breach]:
    needed = required(base)
    for kind in KINDS:
        for pointer, name in parts(base, ("policies", "*", "forbid", kind, "*")):
            if (kind, name) in needed:
                yield pointer, f"{name} is forbidden here, and a policy requires it or what needs it"


def _defaults_keep_policies(base: Any) -> Iterator[Breach]:
    on, known = named(base["defaults"]), catalogue(base)
    for kind, name in sorted((required(base) & known.keys()) - on):
        yield f"/defaults/{kind}", f"a policy requires {name}, which is not on"
    for kind in KINDS:
        for pointer, name in parts(base, ("defaults", kind, "*")):
            if (kind, name) in forbidden(base) - required(base):  # what is both is told by another rule
                yield pointer, f"a policy forbids {name}, which is on"
            for needed in sorted(named(known.get((kind, name), {}).get("requires", {})) - on - required(base)):
                yield pointer, f"{name} is on, and {needed[1]}, which it needs, is not"
    yield from _defaults_within_policies(base)


def _defaults_within_policies(base: Any) -> Iterator[Breach]:
    defaults = base["defaults"]
    for policy in base["policies"]:
        for limit, most in policy.get("limits", {}).items():
            if defaults.get("limits", {}).get(limit, 0) > most:
                yield f"/defaults/limits/{limit}", f"the policy {policy['policy_id']} allows {most} at most"
        for name, value in policy.get("observability", {}).items():
            if defaults.get("observability", {}).get(name, value) != value:
                yield f"/defaults/observability/{name}", f"the policy {policy['policy_id']} fixes it otherwise"


def _policies_fix_the_same(base: Any) -> Iterator[Breach]:
    fixed: dict[str, Any] = {}
    for index, policy in enumerate(base["policies"]):
        for name, value in policy.get("observability", {}).items():
            if fixed.setdefault(name, value) != value:
                yield f"/policies/{index}/observability/{name}", "another policy fixes it otherwise"


def _not_on_and_off(overlay: Any) -> Iterator[Breach]:
    for kind in KINDS:
        switched_on = set(overlay.get(kind, {}).get("enable", ()))
        for pointer, name in parts(overlay, (kind, "disable", "*")):
            if name in switched_on:
                yield pointer, f"{name} is switched on and off at once"


def _one_prompt_an_agent(overlay: Any) -> Iterator[Breach]:
    for pointer, agent in repeated(parts(overlay, ("prompt_overlays", "*", "agent"))):
        yield pointer, f"{agent} is spoken to twice"


RULES: RulesByContract = {
    "base-profile": (
        Rule.of("BAS-1", "Each agent and each skill stands once in the catalogue.", _catalogue_once),
        Rule.of("BAS-2", "Whatever the profile names is in its catalogue.", _names_known),
        Rule.of("BAS-3", "Each policy has a name of its own.", _policies_once),
        Rule.of("BAS-4", "No policy forbids what a policy requires, or what that needs.", _policies_agree),
        Rule.of(
            "BAS-5",
            "Defaults keep the policies, and what is on has what it needs beside it.",
            _defaults_keep_policies,
        ),
        Rule.of("BAS-6", "No two policies fix one value differently.", _policies_fix_the_same),
    ),
    "agent-skill-overlay": (
        Rule.of("OVR-1", "Nothing is switched on and off at once.", _not_on_and_off),
        Rule.of("OVR-2", "Each agent is spoken to by one prompt overlay.", _one_prompt_an_agent),
    ),
}

ACROSS: dict[str, dict[str, str]] = {
    "agent-skill-overlay": {
        "OVR-3": "An overlay is laid over the base profile it names.",
        "OVR-4": "It is laid over the version it names.",
        "OVR-5": "Whatever it names is in the catalogue of the base profile.",
        "OVR-6": "What a mandatory policy requires stays on.",
        "OVR-7": "What a mandatory policy or the global caps forbid stays off.",
        "OVR-8": "What is on has what it needs on beside it.",
        "OVR-9": "No limit is larger than the global caps or a mandatory policy allow.",
        "OVR-10": "What a mandatory policy fixes or the global caps bound is not set otherwise.",
        "OVR-11": "A prompt overlay speaks to an agent that is on.",
        "OVR-12": "No more is on, and no more is said, than the global caps allow.",
        "OVR-13": "The global caps leave room for what the policies of the base profile require.",
    },
}
"""Rules that look at several documents, by contract and id."""
