"""How much is tried: 2,000 documents a schema, or as many as `FUZZ` says; `FUZZ_SEED` replays a run."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dragancorp.codegen import generate

ZOO = Path(__file__).parent / "zoo"
COUNT = int(os.environ.get("FUZZ", "2000"))
SEED = int(os.environ.get("FUZZ_SEED", "20261122"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Thousands of documents take their time on a busy machine; the long run takes as long as it takes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(0 if "FUZZ" in os.environ else 600))


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The package generated from the zoo, imported from a folder that holds nothing else."""
    root = tmp_path_factory.mktemp("zoo")
    generate(ZOO, root / "zoo_models")
    sys.path.insert(0, str(root))
    yield importlib.import_module("zoo_models")
    sys.path.remove(str(root))
    for name in [name for name in sys.modules if name.partition(".")[0] == "zoo_models"]:
        del sys.modules[name]
