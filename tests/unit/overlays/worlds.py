"""Base profiles, overlays and caps drawn by chance; every base profile keeps its contract."""

from typing import Any

from hypothesis import strategies as st

from dragancorp.rules.overlay import Capability, catalogue, named, with_needs

NAMES = ("ant", "bee", "cat", "dog", "elk")
KINDS = ("agents", "skills")
COUNTED = ("max_parallel_missions", "max_llm_calls", "max_cost_usd")
EVERYTHING = [(kind, name) for kind in KINDS for name in NAMES]

some_capabilities = st.frozensets(st.sampled_from(EVERYTHING), max_size=3)
some_limits = st.dictionaries(st.sampled_from(COUNTED), st.integers(1, 9))
some_observability = st.fixed_dictionaries(
    {}, optional={"retention_days": st.integers(1, 9), "trace_percent": st.integers(0, 9), "log_prompts": st.booleans()}
)


def split(capabilities: Any) -> dict[str, list[str]]:
    """Capabilities as an object with `agents` and `skills`."""
    return {kind: sorted(name for one, name in capabilities if one == kind) for kind in KINDS}


@st.composite
def bases(draw: st.DrawFn) -> dict[str, Any]:
    """A base profile that keeps every rule of its own."""
    entries = {
        kind: [_entry(name, draw(some_capabilities)) for name in NAMES if draw(st.integers(0, 3))] for kind in KINDS
    }
    base: dict[str, Any] = {"profile_id": "b", "version": "1.0.0", "catalogue": entries, "policies": []}
    known = catalogue(base)
    for entry in known.values():
        entry["requires"] = split(named(entry["requires"]) & known.keys())
    must = with_needs(draw(some_capabilities) & known.keys(), known)
    never = draw(some_capabilities) & known.keys() - must
    fixed, ceiling = draw(some_observability), draw(some_limits)
    base["policies"] = [
        {"policy_id": "p1", "description": "Must be on.", "require": split(must)},
        {"policy_id": "p2", "description": "Never on.", "forbid": split(never), "limits": ceiling},
        {"policy_id": "p3", "description": "Fixed.", "observability": fixed},
    ]
    on = set(must)
    for capability in draw(some_capabilities) & known.keys():
        wanted = with_needs({capability}, known)
        on |= wanted if not wanted & never else set()
    limits = {name: min(value, ceiling.get(name, value)) for name, value in draw(some_limits).items()}
    base["defaults"] = {**split(on), "limits": limits, "observability": {**draw(some_observability), **fixed}}
    return base


def _entry(name: str, requires: frozenset[Capability]) -> dict[str, Any]:
    return {"name": name, "description": "One.", "requires": split(requires) or {"agents": []}}


@st.composite
def overlays(draw: st.DrawFn) -> dict[str, Any]:
    """An overlay that keeps its contract, and may be wrong in every other way."""
    switched = draw(some_capabilities)
    off = draw(some_capabilities) - switched
    return {
        "overlay_id": "o",
        "base_profile": {"profile_id": "b", "version": "1.0.0"},
        **{kind: {"enable": split(switched)[kind], "disable": split(off)[kind]} for kind in KINDS},
        "prompt_overlays": [
            {"agent": name, "prompt": "Be brief."} for name in draw(st.frozensets(st.sampled_from(NAMES), max_size=1))
        ],
        "limits": draw(some_limits),
        "observability": draw(some_observability),
    }


@st.composite
def caps(draw: st.DrawFn) -> dict[str, Any]:
    """Global caps, often none."""
    return {
        "caps_id": "c",
        "limits": draw(some_limits),
        "forbidden": split(draw(st.one_of(st.just(frozenset()), some_capabilities))),
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "max_agents": st.integers(1, 5),
                    "max_skills": st.integers(0, 5),
                    "max_prompt_characters": st.integers(0, 20),
                    "max_retention_days": st.integers(1, 9),
                    "max_trace_percent": st.integers(0, 9),
                },
            )
        ),
    }
