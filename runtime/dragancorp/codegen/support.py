"""Support modules: every file of `templates/codegen/support/`, rendered where it is a template, else as it stands."""

from dragancorp.codegen.sources import Sources
from dragancorp.codegen.templating import render, templates_root


def emitted(sources: Sources) -> dict[str, str]:
    """The modules by path, and the marker that says the package is typed."""
    catalogue = sources.data("errors", "errors.json") or {"errors": []}
    root = templates_root()
    result = {"py.typed": ""}
    for path in sorted((root / "support").rglob("*")):
        if path.is_file() and path.suffix in {".py", ".jinja"}:
            name = path.relative_to(root).as_posix()
            text = render(name, specs=sources.specs, errors=catalogue["errors"])
            result[name.removeprefix("support/").removesuffix(".jinja")] = text
    return result
