"""The specs as they are shipped: beside this package in a wheel, in `specs/` of a checkout."""

import json
from functools import cache
from pathlib import Path
from typing import Any

BASE = "https://dragancorp.dev/specs/"

_PACKAGE = Path(__file__).resolve().parent


@cache
def specs_root() -> Path:
    """The folder that holds one folder per contract.

    Raises `FileNotFoundError` when the installation carries no specs.
    """
    candidates = (_PACKAGE / "specs", _PACKAGE.parent.parent / "specs")
    for folder in candidates:
        if (folder / "common").is_dir():
            return folder
    searched = ", ".join(str(folder) for folder in candidates)
    raise FileNotFoundError(f"the specs are not installed; looked in {searched}; reinstall the package")


def names() -> tuple[str, ...]:
    """The names of all contracts, sorted."""
    return tuple(sorted(folder.name for folder in specs_root().iterdir() if (folder / "v1").is_dir()))


def document_path(name: str, version: str = "v1", file: str = "schema.json") -> Path:
    """Where a file of a contract lies. Raises `KeyError` for a contract, version or file there is not."""
    path = specs_root() / name / version / file
    # Compared by parts, so that a name such as `../x` cannot leave the folder.
    if {"..", ".", ""} & {name, version, file} or "/" in name + version + file or not path.is_file():
        raise KeyError(f"no {file} of contract {name}/{version}; there are: {', '.join(names())}")
    return path


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def read_document(name: str, version: str = "v1", file: str = "schema.json") -> dict[str, Any]:
    """A JSON file of a contract, parsed anew at each call, so the caller may change what it gets."""
    document: dict[str, Any] = json.loads(_read(document_path(name, version, file)))
    return document


def documents() -> list[tuple[str, Any]]:
    """Every schema, and the API's document, by its address."""
    return [
        (f"{BASE}{path.relative_to(specs_root()).as_posix()}", read_document(*path.parts[-3:]))
        for path in sorted(specs_root().glob("*/*/*.json"))
        if path.name in {"schema.json", "openapi.json"}
    ]


def address(contract: str) -> str:
    """The address of a contract's schema, given name and version: `common/v1`. Raises `KeyError` for none there is."""
    name, _, version = contract.partition("/")
    document_path(name, version)
    return f"{BASE}{contract}/schema.json"


def address_at(reference: str) -> str:
    """The address of a place given from the folder of all specs, or an address as it stands."""
    return reference if reference.startswith(BASE) else BASE + reference


def name_at(place: str) -> str:
    """How rules name the document at an address: `common/v1` for `.../common/v1/schema.json`."""
    return place.removeprefix(BASE).removesuffix("/schema.json").removesuffix("/openapi.json")
