"""For every root schema of ours: model, judge and Python's `jsonschema` accept exactly the same documents."""

import importlib
import json
from functools import cache
from typing import Any

import pytest

from dragancorp_contracts import SPECS, judge, resources

from .conftest import COUNT, SEED
from .equality import Subject, disagreements
from .readers import Readers


@cache
def readers() -> Readers:
    return Readers(resources.documents(), formats=True)


def subject(name: str) -> Subject:
    version = SPECS[name]
    module = importlib.import_module(f"dragancorp_contracts.models.{name.replace('-', '_')}_{version}")
    folder = resources.specs_root() / name / version / "examples" / "valid"
    return Subject(
        address=resources.address(f"{name}/{version}"),
        model=getattr(module, resources.read_document(name, version)["title"]),
        judge=judge,
        violations=lambda document: judge.violations(name, document, version),
        is_valid=lambda document: judge.is_valid(name, document, version),
        readers=readers(),
        examples=[json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))],
    )


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_reader_of_a_contract_accepts_the_same_documents(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def typed_only(cls: Any, document: Any) -> Any:
        raise AssertionError(f"{cls.__name__} cannot show {document}")

    monkeypatch.setattr(judge.ContractRoot, "_untyped", classmethod(typed_only))
    found, tally = disagreements(subject(name), count=COUNT, seed=SEED)
    print(f"{name}: seed {SEED}, {tally.documents} documents, {tally.valid} of them valid, {tally.texts} as text")
    assert found == [], f"FUZZ_SEED={SEED} FUZZ={COUNT} shows them again"
    assert 0 < tally.valid < tally.documents
