"""Two versions of one contract side by side: both are generated, each judges by its own rules, and none stands in for
another."""

import json

import pytest

from tests.integration.one_edit.checkout import Checkout

V1 = "https://dragancorp.dev/specs/tokens/v1/schema.json"
V2 = "https://dragancorp.dev/specs/tokens/v2/schema.json"

SIDE_BY_SIDE = """
import json
from dragancorp_contracts import judge, resources
from dragancorp_contracts.models.tokens_v1 import TokensFile as First
from dragancorp_contracts.models.tokens_v2 import TokensFile as Second

examples = resources.specs_root() / "tokens" / "v1" / "examples" / "valid"
document = json.loads(sorted(examples.glob("*.json"))[0].read_text())
newer = {**document, "issued_by": "simone"}

def refused(version):
    try:
        judge.violations("tokens", document, version)
    except KeyError as error:
        return str(error)

print(json.dumps({
    "ids": [resources.read_document("tokens", version)["$id"] for version in ("v1", "v2")],
    "contracts": [First.__contract__, Second.__contract__],
    "old by the first": [one.rule for one in judge.violations("tokens", document)],
    "new by the first": [one.rule for one in judge.violations("tokens", newer, "v1")],
    "old by the second": [one.rule for one in judge.violations("tokens", document, "v2")],
    "new by the second": [one.rule for one in judge.violations("tokens", newer, "v2")],
    "read by the second": Second.model_validate(newer).as_document() == newer,
    "third": refused("v3"),
}))
"""


pytestmark = pytest.mark.xdist_group("two versions")  # the checkout is copied and generated once


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy in which `tokens` has a second version with a member more."""
    copy = Checkout.copied_to(tmp_path_factory.mktemp("two-versions") / "checkout")
    specs = copy.folder / "specs" / "tokens"
    copy.run("cp", "-R", str(specs / "v1"), str(specs / "v2"))
    with copy.edit("specs/tokens/v2/schema.json") as schema:
        schema["$id"] = V2
        schema["properties"]["issued_by"] = {
            "description": "Who made them.", "$ref": "../../common/v1/schema.json#/$defs/id"
        }  # fmt: skip
    for path in (specs / "v2" / "examples").rglob("*.json"):
        path.write_text(path.read_text().replace("tokens/v1", "tokens/v2"))
    copy.make_codegen()
    return copy


def test_both_are_generated_and_each_judges_by_its_own_rules(both: Checkout) -> None:
    said = json.loads(both.python("-c", SIDE_BY_SIDE))

    assert said["ids"] == [V1, V2]
    assert said["contracts"] == ["tokens/v1", "tokens/v2"]
    assert said["old by the first"] == []
    assert said["new by the first"] == ["tokens/v1#/additionalProperties"]
    assert said["old by the second"] == said["new by the second"] == []
    assert said["read by the second"]


def test_a_version_there_is_not_is_refused_and_never_read_as_another(both: Checkout) -> None:
    said = json.loads(both.python("-c", SIDE_BY_SIDE))["third"]

    assert "tokens/v3" in said


def test_the_comparison_calls_a_new_version_beside_the_old_one_safe(both: Checkout) -> None:
    said = json.loads(both.python("-m", "dragancorp.cli", "spec", "diff", "HEAD", "specs", "--json"))

    assert [(one["rule"], one["contract"]) for one in said["changes"]] == [("DIF-2", "tokens/v2")]


def test_the_package_names_the_newest_version(both: Checkout) -> None:
    printed = both.python("-c", "import json, dragancorp_contracts as c; print(json.dumps(dict(c.SPECS)))")
    source = (both.folder / "generated" / "dragancorp_contracts" / "__init__.py").read_text()

    assert json.loads(printed)["tokens"] == "v2"
    assert source.count('"tokens"') == 1
