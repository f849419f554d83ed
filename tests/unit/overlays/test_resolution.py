"""Where every value comes from."""

import json
from typing import Any

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.overlays import Resolved, Source, resolve
from dragancorp_contracts import resources


def _example(contract: str, name: str = "full") -> Any:
    path = resources.specs_root() / contract / f"v1/examples/valid/{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


BASE, OVERLAY, CAPS = (_example(name) for name in ("base-profile", "agent-skill-overlay", "control-plane-caps"))
AS_IT_IS = _example("agent-skill-overlay", "minimal")
NO_CAPS = _example("control-plane-caps", "minimal")


def test_an_overlay_that_says_nothing_leaves_the_base_as_it_is() -> None:
    resolution = resolve(BASE, AS_IT_IS, NO_CAPS)
    assert resolution.on("agents") == set(BASE["defaults"]["agents"])
    assert resolution.on("skills") == set(BASE["defaults"]["skills"])
    assert resolution.values()["limits"] == BASE["defaults"]["limits"]
    assert resolution.limits["max_llm_calls"] == Resolved(value=200, source=Source.BASE_DEFAULT, by="factory-standard")
    assert resolution.prompts == {}


def test_the_whole_catalogue_is_explained_whether_on_or_off() -> None:
    resolution = resolve(BASE, OVERLAY, CAPS)
    assert resolution.agents["researcher"] == Resolved(value=True, source=Source.OVERLAY, by="research-week-48")
    assert resolution.agents["code-writer"] == Resolved(value=False, source=Source.OVERLAY, by="research-week-48")
    assert resolution.agents["reviewer"] == Resolved(value=False, source=Source.BASE_DEFAULT, by="factory-standard")
    assert resolution.agents["trader"] == Resolved(value=False, source=Source.MANDATORY_POLICY, by="no-trading")
    assert resolution.skills["shell"] == Resolved(value=False, source=Source.CAP, by="host-7")


def test_what_a_required_agent_needs_is_there_by_the_policy_too() -> None:
    resolution = resolve(BASE, OVERLAY, CAPS)
    assert resolution.agents["safety-officer"].source is Source.MANDATORY_POLICY
    assert resolution.skills["redaction"] == Resolved(value=True, source=Source.MANDATORY_POLICY, by="safety-first")


def test_a_default_above_the_caps_is_lowered_and_says_so() -> None:
    lowered = resolve(BASE, AS_IT_IS, {"caps_id": "small", "limits": {"max_llm_calls": 10}, "max_retention_days": 7})
    assert lowered.limits["max_llm_calls"] == Resolved(value=10, source=Source.CAP, by="small")
    assert lowered.observability["retention_days"] == Resolved(value=7, source=Source.CAP, by="small")


def test_a_limit_that_only_the_caps_set_is_theirs_and_one_that_nobody_sets_is_not_there() -> None:
    base = {**BASE, "defaults": {**BASE["defaults"], "limits": {}}}
    resolution = resolve(base, AS_IT_IS, {"caps_id": "small", "limits": {"max_llm_calls": 10}})
    assert resolution.values()["limits"] == {"max_llm_calls": 10, "max_cost_usd_per_day": 200}
    assert resolution.limits["max_cost_usd_per_day"].by == "no-trading"


def test_a_prompt_is_appended_where_nothing_else_is_said() -> None:
    overlay = {**AS_IT_IS, "prompt_overlays": [{"agent": "code-writer", "prompt": "Be brief."}]}
    resolution = resolve(BASE, overlay, NO_CAPS)
    assert resolution.prompts["code-writer"].value == {"mode": "append", "prompt": "Be brief."}


def test_the_digest_is_that_of_the_values_wherever_they_come_from() -> None:
    said_again = {**AS_IT_IS, "limits": BASE["defaults"]["limits"]}
    plain, again = (resolve(BASE, overlay, NO_CAPS) for overlay in (AS_IT_IS, said_again))
    assert plain.digest() == again.digest()
    assert plain != again
    assert plain.digest() != resolve(BASE, OVERLAY, CAPS).digest()


def test_the_plain_form_has_every_value_with_its_source() -> None:
    resolution = resolve(BASE, OVERLAY, CAPS)
    plain = resolution.as_json()
    for pointer, one in resolution.explained():
        _, group, name = pointer.split("/")
        assert plain[group][name] == {"value": one.value, "source": one.source.value, "by": one.by}
    assert json.loads(json.dumps(plain)) == plain


def test_an_overlay_that_does_not_fit_is_refused_with_everything_that_is_wrong() -> None:
    overlay = {**AS_IT_IS, "agents": {"enable": ["nobody"], "disable": ["safety-officer"]}}
    with pytest.raises(DraganError) as caught:
        resolve(BASE, overlay, CAPS)
    assert caught.value.code is ErrorCode.DOCUMENT_INVALID
    assert [one.rule for one in caught.value.violations] == ["OVR-5", "OVR-6"]
