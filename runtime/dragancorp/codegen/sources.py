"""The specs as the generator reads them: one `Spec` a contract folder, and the data files beside the schemas."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BASE = "https://dragancorp.dev/specs/"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One version of one contract that has a `schema.json`."""

    name: str
    version: str
    path: Path
    schema: dict[str, Any] = field(repr=False)

    @property
    def contract(self) -> str:
        """Name and version, e.g. `mission-envelope/v1`."""
        return f"{self.name}/{self.version}"

    @property
    def module(self) -> str:
        """The name of the generated module, e.g. `mission_envelope_v1`."""
        return f"{self.name}_{self.version}".replace("-", "_")

    @property
    def title(self) -> str:
        """The name of the root class, e.g. `MissionEnvelope`."""
        return str(self.schema["title"])


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Everything that code is generated from."""

    root: Path
    specs: tuple[Spec, ...]

    def data(self, name: str, file: str) -> Any:
        """A data file such as `lifecycle/v1/lifecycle.json`, or None when that contract does not exist."""
        path = self.root / name / "v1" / file
        return _read(path) if path.is_file() else None


def read(root: Path) -> Sources:
    """The contracts below a folder, sorted by name. Raises `ValueError` for a file that is not JSON."""
    return Sources(
        root=root,
        specs=tuple(
            Spec(name=path.parts[-3], version=path.parts[-2], path=path, schema=_read(path))
            for path in sorted(root.glob("*/v*/schema.json"))
        ),
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
