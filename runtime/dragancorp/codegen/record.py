"""What a package was made from and what it holds, kept in it: so an unchanged tree is known without making it anew."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dragancorp.codegen.sources import pretty
from dragancorp.codegen.templating import templates_root

NAME = "codegen.json"
TOOLS = ("datamodel-code-generator", "jinja2", "ruff")
_SOURCES = Path(__file__).resolve().parent


def inputs(specs: Path) -> str:
    """The digest of everything that decides what is generated: specs, templates, the generator, its tools."""
    digest = hashlib.sha256()
    for tool in TOOLS:
        digest.update(f"{tool} {_version(tool)}\n".encode())
    for root in (specs, templates_root(), _SOURCES):
        for path in sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            digest.update(f"{path.relative_to(root).as_posix()} ".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def digests(folder: Path, names: set[Path]) -> dict[str, str]:
    """The digest of every file by its path in the folder."""
    return {
        name.as_posix(): hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sorted(names)
        if name.as_posix() != NAME
    }


def text(made_from: str, files: dict[str, str], pages: dict[str, str]) -> str:
    """The record as it stands in the package."""
    return pretty(
        {"generated": "by `dragan spec codegen`; do not edit", "from": made_from, "files": files, "pages": pages}
    )


def read(package: Path) -> dict[str, Any]:
    """The record of a package; without a readable one, one that knows nothing."""
    try:
        record = json.loads((package / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    known = record if isinstance(record, dict) else {}
    return {"from": "", "files": {}, "pages": {}} | {key: value for key, value in known.items() if value}


def _version(tool: str) -> str:
    try:
        return version(tool)
    except PackageNotFoundError:
        return ""
