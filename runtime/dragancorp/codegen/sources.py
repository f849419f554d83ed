"""The specs as the generator reads them, in one of two layouts.

* `house`: a folder for each contract and version, `<name>/v1/schema.json`, with the house's own addresses
* `folder`: any folder of JSON Schemas, nested as one likes, with or without `$id`
"""

import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urldefrag, urljoin

from dragancorp.codegen.naming import class_name, module_name, unique
from dragancorp.codegen.templating import templates_root

BASE = "https://dragancorp.dev/specs/"
FOLDER_BASE = "https://schemas.invalid/"
"""Where the schemas of any folder stand that do not say so themselves; `.invalid` is a name that nobody can own."""

Layout = Literal["house", "folder"]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One schema: of the house one version of one contract, of any folder one file."""

    name: str
    version: str
    path: Path
    schema: Any = field(repr=False)
    retrieved: str
    """The address that its place gives it."""
    module: str
    """The name of the generated module, e.g. `mission_envelope_v1`."""
    title: str
    """The name of the root class, e.g. `MissionEnvelope`."""

    @property
    def contract(self) -> str:
        """Name and version, e.g. `mission-envelope/v1`; a file of any folder has a name only."""
        return f"{self.name}/{self.version}" if self.version else self.name

    @property
    def address(self) -> str:
        """Its absolute address: `$id`, or else its place."""
        own = self.schema.get("$id") if isinstance(self.schema, dict) else None
        return urldefrag(urljoin(self.retrieved, own))[0] if isinstance(own, str) else self.retrieved


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Everything that code is generated from."""

    root: Path
    layout: Layout
    specs: tuple[Spec, ...]

    @property
    def house(self) -> bool:
        """Whether these are contracts of the house."""
        return self.layout == "house"

    def data(self, name: str, file: str) -> Any:
        """A data file such as `lifecycle/v1/lifecycle.json`, or None when that contract does not exist."""
        path = self.root / name / "v1" / file
        return read_json(path) if self.house and path.is_file() else None


def read(root: Path) -> Sources:
    """The specs below a folder, sorted by name. Raises `ValueError` for a file that is not strict JSON."""
    found = [(path, read_json(path)) for path in sorted(root.glob("*/v[0-9]*/schema.json"))]
    if any(isinstance(schema, dict) and str(schema.get("$id", "")).startswith(BASE) for _, schema in found):
        return Sources(root=root, layout="house", specs=tuple(_contracts(found)))
    return Sources(root=root, layout="folder", specs=tuple(_files(root)))


def _contracts(found: list[tuple[Path, Any]]) -> Iterator[Spec]:
    for path, schema in found:
        name, version = path.parts[-3:-1]
        title = schema.get("title") if isinstance(schema, dict) else None
        yield Spec(
            name=name,
            version=version,
            path=path,
            schema=schema,
            retrieved=f"{BASE}{name}/{version}/schema.json",
            module=f"{name}_{version}".replace("-", "_"),
            title=str(title),
        )


def _files(root: Path) -> Iterator[Spec]:
    modules: set[str] = set()
    for path in sorted(path for path in root.rglob("*.json") if path.is_file()):
        relative = path.relative_to(root).as_posix()
        if any(part.startswith(".") for part in relative.split("/")):
            continue
        name = re.sub(r"(\.schema)?\.json$", "", relative)
        schema = read_json(path)
        title = schema.get("title") if isinstance(schema, dict) else None
        yield Spec(
            name=name,
            version="",
            path=path,
            schema=schema,
            retrieved=FOLDER_BASE + quote(relative),
            module=unique(module_name(name), modules),
            title=class_name(title if isinstance(title, str) else "", name.rpartition("/")[2]),
        )


def read_json(path: Path) -> Any:
    """The document in a file, read as strictly as documents are. Raises `ValueError` that names the file."""
    strict = _strict_json()
    try:
        return strict.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@cache
def _strict_json() -> Any:
    # The generated package may not exist yet, so its reader comes from where it is generated from.
    place = templates_root() / "support" / "strict_json.py"
    found = importlib.util.spec_from_file_location("strict_json_of_templates", place)
    if found is None or found.loader is None:
        raise FileNotFoundError(place)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def pretty(document: Any) -> str:
    """A document as it is written into a file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
