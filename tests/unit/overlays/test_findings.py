"""Everything that is wrong is told at once, each with its place, rule and fix."""

import json
from typing import Any

import pytest

from dragancorp import rules
from dragancorp.overlays import findings, resolve
from dragancorp.overlays.finding import Place
from dragancorp_contracts import resources

TOGETHER = sorted((resources.specs_root() / "agent-skill-overlay/v1/examples/together").glob("*.json"))
EXAMPLES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in TOGETHER}


def _example(contract: str) -> Any:
    path = resources.specs_root() / contract / "v1/examples/valid/full.json"
    return json.loads(path.read_text(encoding="utf-8"))


def _found(example: Any) -> Any:
    return findings(example["base_profile"], example["overlay"], example["caps"])


BASE, OVERLAY, CAPS = (_example(name) for name in ("base-profile", "agent-skill-overlay", "control-plane-caps"))


@pytest.mark.parametrize("name", [name for name, one in EXAMPLES.items() if "breaks" in one])
def test_an_example_breaks_just_the_rule_it_names(name: str) -> None:
    example = EXAMPLES[name]
    found = _found(example)
    assert [(one.rule, one.document, one.pointer) for one in found] == [
        (example["breaks"], example["in"], example["pointer"])
    ]
    assert name.startswith(example["breaks"] + "-")
    assert found[0].message
    assert found[0].fix


@pytest.mark.parametrize("name", [name for name, one in EXAMPLES.items() if "breaks" not in one])
def test_an_example_that_fits_resolves(name: str) -> None:
    example = EXAMPLES[name]
    assert _found(example) == []
    assert resolve(example["base_profile"], example["overlay"], example["caps"]).digest()


def test_every_rule_over_several_documents_has_an_example_that_breaks_it() -> None:
    broken = {one["breaks"] for one in EXAMPLES.values() if "breaks" in one}
    assert broken == set(rules.ACROSS["agent-skill-overlay"])


def test_the_examples_of_the_three_contracts_fit_together() -> None:
    assert findings(BASE, OVERLAY, CAPS) == []


def test_everything_that_is_wrong_is_told_at_once() -> None:
    overlay = {
        "overlay_id": "o",
        "base_profile": {"profile_id": "factory-standard", "version": "9.9.9"},
        "agents": {"enable": ["reseacher", "trader", "reviewer"], "disable": ["safety-officer", "code-writer"]},
        "skills": {"enable": ["shell"]},
        "prompt_overlays": [{"agent": "code-writer", "prompt": "Hello."}],
        "limits": {"max_cost_usd": 1000},
        "observability": {"log_prompts": True},
    }
    found = {(one.rule, one.pointer) for one in findings(BASE, overlay, CAPS)}
    assert found == {
        ("OVR-4", "/base_profile/version"),
        ("OVR-5", "/agents/enable/0"),
        ("OVR-6", "/agents/disable/0"),
        ("OVR-7", "/agents/enable/1"),
        ("OVR-7", "/skills/enable/0"),
        ("OVR-8", "/agents/enable/2"),
        ("OVR-9", "/limits/max_cost_usd"),
        ("OVR-10", "/observability/log_prompts"),
        ("OVR-11", "/prompt_overlays/0/agent"),
    }


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("OVR-5-agent-misspelt", "write researcher, if that is meant"),
        ("OVR-5-skill-among-the-agents", "git is one of the skills: put it there"),
        ("OVR-8-on-without-what-it-needs", "add s to skills.enable, or take a out of agents.enable"),
        ("OVR-8-what-it-needs-forbidden-by-a-policy", "take a out of agents.enable"),
        ("OVR-9-above-a-policy", "write 1 or less"),
    ],
)
def test_a_fix_says_what_to_do(name: str, fix: str) -> None:
    assert _found(EXAMPLES[name])[0].fix == fix


@pytest.mark.parametrize("name", [name for name, one in EXAMPLES.items() if one.get("in") == "overlay"])
def test_a_fix_that_names_a_list_mends_the_overlay(name: str) -> None:
    """What the first alternative of a fix about switches says is done, and the finding is gone."""
    example = EXAMPLES[name]
    finding = _found(example)[0]
    words = finding.fix.split(", or ")[0].split()
    if words[:1] == ["take"] and words[2:4] == ["out", "of"]:
        kind, way = words[4].split(".")
        example = json.loads(json.dumps(example))
        example["overlay"][kind][way].remove(words[1])
    elif words[:1] == ["add"] and "." in words[-1]:
        kind, way = words[-1].split(".")
        example = json.loads(json.dumps(example))
        example["overlay"].setdefault(kind, {}).setdefault(way, []).append(words[1])
    else:
        return
    assert finding.rule not in {one.rule for one in _found(example)}


@pytest.mark.parametrize("place", list(Place))
def test_each_document_is_held_to_its_own_contract_first(place: Place) -> None:
    documents = {Place.BASE: BASE, Place.OVERLAY: OVERLAY, Place.CAPS: CAPS}
    documents[place] = {**documents[place], "surprise": True}
    found = findings(documents[Place.BASE], documents[Place.OVERLAY], documents[Place.CAPS])
    assert [one.document for one in found] == [place]
    assert found[0].rule.endswith("#/additionalProperties")


def test_the_rules_of_all_three_documents_are_told_together() -> None:
    base = {**BASE, "policies": [*BASE["policies"], BASE["policies"][0]]}
    overlay = {**OVERLAY, "agents": {"enable": ["researcher"], "disable": ["researcher"]}}
    found = findings(base, overlay, {"caps_id": 5})
    assert [one.rule.split("#")[0] for one in found] == ["BAS-3", "OVR-1", "common/v1"]


@pytest.mark.parametrize("document", [None, [], "text", 5, {}])
def test_anything_at_all_can_be_examined(document: Any) -> None:
    assert findings(document, document, document)


def test_a_finding_is_a_plain_document() -> None:
    example = EXAMPLES["OVR-9-above-the-caps"]
    assert _found(example)[0].as_json() == {
        "rule": "OVR-9",
        "document": "overlay",
        "pointer": "/limits/max_llm_calls",
        "message": "6 is more than 5, which the cap c allows",
        "fix": "write 5 or less",
    }
