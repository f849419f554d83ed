"""What holds for every base profile, overlay and set of caps."""

from typing import Any

import pytest
from hypothesis import event, given, settings

from dragancorp import rules
from dragancorp.errors import DraganError
from dragancorp.overlays import Resolution, Source, findings, resolve
from dragancorp.overlays.layers import CAPPED_OBSERVABILITY, all_on, resolved
from dragancorp.rules.overlay import catalogue, forbidden, named, required

from .worlds import bases, caps, overlays

LAWS = settings(max_examples=100, deadline=None, database=None, derandomize=True)


def within_caps(resolution: Resolution, capped: Any) -> bool:
    """Whether no value exceeds the global caps."""
    values = resolution.values()
    return (
        all(values["limits"].get(name, most) <= most for name, most in capped["limits"].items())
        and not all_on(resolution) & named(capped["forbidden"])
        and len(resolution.on("agents")) <= capped.get("max_agents", 500)
        and len(resolution.on("skills")) <= capped.get("max_skills", 500)
        and sum(len(one["prompt"]) for one in values["prompts"].values()) <= capped.get("max_prompt_characters", 10**7)
        and all(
            values["observability"].get(name, 0) <= capped[cap]
            for name, cap in CAPPED_OBSERVABILITY.items()
            if cap in capped
        )
    )


@given(bases())
@LAWS
def test_the_base_profiles_drawn_here_keep_their_contract(base: Any) -> None:
    assert rules.violations("base-profile", base) == []


@given(bases(), overlays(), caps())
@LAWS
def test_an_overlay_without_findings_resolves_inside_caps_and_policies(base: Any, overlay: Any, capped: Any) -> None:
    found = findings(base, overlay, capped)
    event("fits" if not found else "does not fit")
    if found:
        with pytest.raises(DraganError) as caught:
            resolve(base, overlay, capped)
        assert [one.rule for one in caught.value.violations] == [one.rule for one in found]
        return
    resolution = resolve(base, overlay, capped)
    on = all_on(resolution)
    assert within_caps(resolution, capped)
    assert required(base) <= on
    assert not forbidden(base) & on
    assert all(named(catalogue(base)[capability]["requires"]) <= on for capability in on)
    for policy in base["policies"]:
        for name, value in policy.get("observability", {}).items():
            assert resolution.values()["observability"][name] == value
        for name, most in policy.get("limits", {}).items():
            assert resolution.values()["limits"][name] <= most


@given(bases(), overlays(), caps())
@LAWS
def test_what_the_overlay_asks_for_is_what_it_gets(base: Any, overlay: Any, capped: Any) -> None:
    if findings(base, overlay, capped):
        return
    values = resolve(base, overlay, capped).values()
    for kind in ("agents", "skills"):
        assert all(values[kind][name] is True for name in overlay[kind]["enable"])
        assert all(values[kind][name] is False for name in overlay[kind]["disable"])
    assert overlay["limits"].items() <= values["limits"].items()
    assert overlay["observability"].items() <= values["observability"].items()


@given(bases(), overlays(), caps())
@LAWS
def test_every_resolved_value_is_explained_by_a_document_that_says_so(base: Any, overlay: Any, capped: Any) -> None:
    resolution = resolved(base, overlay, capped)
    explained = dict(resolution.explained())
    assert len(explained) == sum(len(group) for group in resolution.values().values())
    assert {name for name in explained if name.startswith(("/agents/", "/skills/"))} == {
        f"/{kind}/{name}" for kind, name in catalogue(base)
    }
    names = {
        Source.BASE_DEFAULT: {"b"},
        Source.OVERLAY: {"o"},
        Source.CAP: {"c"},
        Source.MANDATORY_POLICY: {"p1", "p2", "p3"},
    }
    assert all(one.by in names[one.source] for one in explained.values())


@given(bases(), overlays(), caps())
@LAWS
def test_limits_and_switches_stay_inside_even_where_the_overlay_does_not_fit(
    base: Any, overlay: Any, capped: Any
) -> None:
    values = resolved(base, overlay, capped).values()
    assert all(values["limits"][name] <= most for name, most in capped["limits"].items())
    assert not {(kind, name) for kind in ("agents", "skills") for name, on in values[kind].items() if on} & forbidden(
        base
    )


@given(bases(), overlays(), caps())
@LAWS
def test_neither_looking_nor_resolving_changes_a_document(base: Any, overlay: Any, capped: Any) -> None:
    before = repr((base, overlay, capped))
    findings(base, overlay, capped)
    resolved(base, overlay, capped)
    assert repr((base, overlay, capped)) == before
