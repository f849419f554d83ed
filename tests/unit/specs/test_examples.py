"""Every example says what it should, and every rule has one that breaks it and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dragancorp import rules
from dragancorp_contracts import judge, resources

SPECS = resources.specs_root()


def test_a_valid_example_keeps_every_rule(shape: Any) -> None:
    broken = {str(one): rules.violations(shape.reference, one.document) for one in shape.valid()}
    assert {name: found for name, found in broken.items() if found} == {}


def test_an_invalid_example_breaks_just_the_rule_it_names(shape: Any) -> None:
    told = {}
    for one in shape.invalid():
        found = [(each.rule, each.pointer) for each in rules.violations(shape.reference, one.document)]
        if found != [(one.breaks, one.pointer)]:
            told[str(one)] = found
    assert told == {}


def test_invalid_examples_are_named_after_the_rule_they_break() -> None:
    for path in SPECS.glob("*/v1/examples/invalid/**/*.json"):
        keyword = json.loads(path.read_text(encoding="utf-8"))["breaks"].rsplit("/", 1)[-1]
        assert keyword in path.stem, path


def test_every_shape_has_three_valid_examples_and_an_invalid_one(shape: Any) -> None:
    assert len(shape.examples("valid")) >= 3
    assert shape.examples("invalid")


def test_every_bound_of_a_schema_is_broken_by_an_example(
    contract: str, bounds_of_contract: set[str], examples_of_contract: list[Any]
) -> None:
    own = {example.breaks for example in examples_of_contract if "#/" in example.breaks}
    assert own == bounds_of_contract


def test_every_required_member_is_missing_from_an_example(contract: str, examples_of_contract: list[Any]) -> None:
    missing = {
        (example.breaks, example.path.stem.rsplit("-required-", 1)[-1])
        for example in examples_of_contract
        if example.breaks.endswith("/required")
    }
    assert missing == set(_required(resources.read_document(contract), f"{contract}/v1#"))


def _required(schema: Any, at: str) -> Any:
    for keyword, value in schema.items():
        if keyword == "required":
            yield from ((f"{at}/required", member) for member in value)
        elif keyword == "allOf":
            for index, inner in enumerate(value):
                yield from _required(inner, f"{at}/allOf/{index}")
        elif keyword in {"properties", "$defs"}:
            for name, inner in value.items():
                yield from _required(inner, f"{at}/{keyword}/{name}")
        elif keyword in {"items", "then", "else", "additionalProperties"} and isinstance(value, dict):
            yield from _required(value, f"{at}/{keyword}")


@pytest.mark.parametrize("name", rules.RULES)
def test_every_rule_beyond_the_schema_is_broken_by_an_example(name: str) -> None:
    folder, _, place = name.partition("#/$defs/")
    examples = (SPECS / folder / "v1/examples/invalid" / place).glob("[A-Z]*.json")
    found = {"-".join(path.stem.split("-")[:2]) for path in examples}
    assert {rule.id for rule in rules.RULES[name]} <= found


@pytest.mark.parametrize("name", sorted({*rules.RULES, *rules.ACROSS}))
def test_the_readme_lists_the_rules_in_the_words_of_the_code(name: str) -> None:
    text = (SPECS / name.partition("#")[0] / "v1" / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| (?:`)?([A-Z]{3}-[0-9]+)(?:`)? \| (.+?) \|", text, re.MULTILINE))
    assert listed == {rule.id: rule.sentence for rule in rules.RULES.get(name, ())} | rules.ACROSS.get(name, {})


def test_rule_ids_are_unique() -> None:
    ids = [rule.id for group in rules.RULES.values() for rule in group]
    ids += [identifier for group in rules.ACROSS.values() for identifier in group]
    assert len(ids) == len(set(ids))


def test_a_rule_that_a_schema_mentions_exists() -> None:
    known = {rule.id for group in rules.RULES.values() for rule in group}
    known |= {identifier for group in rules.ACROSS.values() for identifier in group}
    for path in SPECS.glob("*/v1/schema.json"):
        assert set(re.findall(r"\b[A-Z]{3}-[0-9]+\b", path.read_text(encoding="utf-8"))) <= known | {"SHA-256", "UTF-8"}


@pytest.mark.parametrize("folder", sorted(SPECS.glob("*/v1")), ids=lambda folder: folder.parent.name)
def test_every_contract_is_explained(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {folder.parent.name} v1\n")
    if (folder / "schema.json").is_file():
        reader = resources.read_document(folder.parent.name)["x-dragan-reader"]
        assert f"**{reader}**" in text


@pytest.mark.parametrize("path", sorted(SPECS.glob("*/v1/README.md")), ids=lambda path: path.parent.parent.name)
def test_the_examples_in_a_readme_are_valid(path: Path) -> None:
    contract = path.parent.parent.name
    for label, block in re.findall(r"```json ?([a-z_]*)\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        reference = f"{contract}#/$defs/{label}" if label else contract
        assert rules.violations(reference, judge.strict_json.loads(block)) == []


def test_no_example_lies_where_nobody_looks() -> None:
    for path in SPECS.glob("*/v1/examples/**/*"):
        if path.is_file():
            parts = path.relative_to(SPECS).parts
            assert parts[3] in {"valid", "invalid", "together"}, path
            assert path.suffix == ".json", path
            assert len(parts) <= 6, path
