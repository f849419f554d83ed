"""Anyone's schemas: a zoo of what draft 2020-12 can say; each model accepts what its schema accepts, nothing else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import COUNT, SEED, ZOO
from .equality import Subject, disagreements
from .readers import Readers

NAMES = sorted(path.relative_to(ZOO).as_posix().removesuffix(".json") for path in ZOO.rglob("*.json"))
NEVER, ALWAYS = {"boolean_false"}, {"boolean_true", "empty", "json_value"}

pytestmark = pytest.mark.xdist_group("zoo")  # the package is generated once


@pytest.fixture(scope="session")
def readers(zoo: Any) -> Readers:
    return Readers(zoo.resources.documents(), formats=False)


@pytest.mark.parametrize("name", NAMES)
def test_every_reader_of_a_schema_of_the_zoo_accepts_the_same_documents(name: str, zoo: Any, readers: Readers) -> None:
    subject = Subject(
        address=zoo.resources.address(name),
        model=zoo.model(name),
        judge=zoo.judge,
        violations=lambda document: zoo.judge.violations(name, document),
        is_valid=lambda document: zoo.judge.is_valid(name, document),
        readers=readers,
        examples=[],
    )
    found, tally = disagreements(subject, count=COUNT if COUNT > 2000 else COUNT // 2, seed=SEED)
    print(f"{name}: seed {SEED}, {tally.documents} documents, {tally.valid} of them valid")
    assert found == [], f"FUZZ_SEED={SEED} FUZZ={COUNT} shows them again"
    assert tally.valid or name in NEVER
    assert tally.valid < tally.documents or name in ALWAYS


def test_the_package_stands_alone(zoo: Any, tmp_path: Path) -> None:
    """It carries its schemas and its judge, and imports nothing of ours."""
    package = Path(zoo.__file__).parent
    code = (
        "import sys, zoo_models\n"
        "for name in zoo_models.MODELS: zoo_models.model(name)\n"
        "ours = ('dragancorp', 'litestar', 'sqlmodel')\n"
        "assert not [name for name in sys.modules if name.startswith(ours)]\n"
        "assert zoo_models.model('plain').from_json('{\"name\": \"x\"}').name == 'x'\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=package.parent)
    for path in package.rglob("*"):
        assert path.suffix in {"", ".py", ".json", ".typed", ".pyc"}, path
        assert path.suffix != ".py" or "import dragancorp" not in path.read_text(encoding="utf-8")


def test_the_schemas_in_the_package_are_those_of_the_folder(zoo: Any) -> None:
    for name in NAMES:
        assert zoo.resources.read_document(name) == json.loads((ZOO / f"{name}.json").read_text(encoding="utf-8"))


def test_the_typed_view_shows_what_python_can_show(zoo: Any) -> None:
    order = zoo.model("shop/order").model_validate({"lines": [{"sku": "AB-1", "n": 2.0}], "ship": {"street": "x"}})
    assert order.lines[0].n == 2
    assert order.ship.street == "x"
    assert zoo.model("array").model_validate([1, 2]).root == [1, 2]
    tree = zoo.model("recursive").model_validate({"value": 1, "children": [{"value": 2}]})
    assert tree.children[0].value == 2
    keywords = zoo.model("keywords").model_validate({"from": 1, "as_document": 2, "a-b": 3, "a_b": 4})
    assert (keywords.from_, keywords.as_document_, keywords.a_b) == (1, 2, 3)
    assert zoo.model("mixed_enum").model_validate(True).root is True


def test_one_and_true_are_told_apart(zoo: Any) -> None:
    from pydantic import ValidationError

    model = zoo.model("one_or_true")
    assert model.model_validate({"c": 1.0, "t": True}).as_document() == {"c": 1, "t": True}
    for wrong in ({"c": True}, {"t": 1}, {"e": True}, {"e": [True]}):
        with pytest.raises(ValidationError):
            model.model_validate(wrong)


def test_a_member_whose_name_is_empty_keeps_its_place_in_the_pointer(zoo: Any) -> None:
    violations = zoo.judge.violations("class_names", {"": {"v13": "x"}, "v13": {}})
    assert "//v13" in {one.pointer for one in violations}
