"""The whole package, made in one place: support modules, models, life cycles, API, client."""

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from dragancorp.codegen import api, lifecycle, models, support
from dragancorp.codegen.formatting import tidy
from dragancorp.codegen.lint import SpecsInvalid, lint
from dragancorp.codegen.sources import Sources, read
from dragancorp.codegen.templating import BANNER

TOOLS = ("datamodel_code_generator", "jinja2", "ruff")
IGNORED = {"__pycache__", ".ruff_cache", ".mypy_cache"}


class ToolsMissing(RuntimeError):  # noqa: N818 - the name says what is wrong
    """The packages that generate code are not installed; they are an extra."""


def generate(specs: Path, out: Path) -> list[Path]:
    """Write the package into `out` and remove what is no longer generated; the written paths, sorted.

    Files that already hold the right text are left alone. Raises `SpecsInvalid` when a spec breaks a rule of the
    subset, `FileExistsError` when `out` holds a Python file that was not generated, `ToolsMissing` without the
    extra `codegen`. Nothing is written then.
    """
    with tempfile.TemporaryDirectory(prefix="codegen-") as scratch:
        fresh = Path(scratch) / "package"
        build(specs, fresh)
        wanted = files(fresh)
        stale = files(out) - wanted
        for name in sorted(stale):
            if name.suffix == ".py" and not (out / name).read_text(encoding="utf-8").startswith(BANNER):
                raise FileExistsError(f"{out / name} was not generated; move it away, this folder is written whole")
        for name in stale:
            (out / name).unlink()
        for name in wanted:
            target = out / name
            if not target.is_file() or target.read_bytes() != (fresh / name).read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(fresh / name, target)
    return sorted(out / name for name in wanted)


def build(specs: Path, out: Path) -> None:
    """Make the package in an empty folder."""
    missing = [tool for tool in TOOLS if find_spec(tool) is None]
    if missing:
        raise ToolsMissing(f"{', '.join(missing)} not installed; code generation needs dragancorp[codegen]")
    findings = lint(specs)
    if findings:
        raise SpecsInvalid(findings)
    sources = read(specs)
    if not sources.specs:
        raise SpecsInvalid([], f"there are no specs in {specs}")
    write(out, emitted(sources))
    tidy(out)


def emitted(sources: Sources) -> dict[str, str]:
    """The text of every file by its path in the package, not yet formatted."""
    result = support.emitted(sources)
    for part in (lifecycle, api, models):
        result.update(part.emitted(sources))
    return result


def write(out: Path, texts: dict[str, str]) -> None:
    """Write the files."""
    for name, text in texts.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def files(folder: Path) -> set[Path]:
    """The files below a folder, relative to it, without caches."""
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and not IGNORED & set(path.relative_to(folder).parts)
    }
