import os
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from dragancorp.cli.app import app


@pytest.fixture(autouse=True)
def _no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("UA_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def dragan(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command line in this process, in an empty folder: for what needs no server."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments), prog_name="dragan")

    return run
