"""Support modules: the files of `templates/codegen/`, rendered where they are templates, else as they stand."""

from dragancorp.codegen.sources import Sources, pretty
from dragancorp.codegen.templating import render, templates_root

SHARED = ("judge.py.jinja", "strict_json.py")
"""What a package generated from any folder has in common with the house's own."""


def emitted(sources: Sources) -> dict[str, str]:
    """The modules by path, the marker that says the package is typed, and of any folder the schemas themselves."""
    catalogue = sources.data("errors", "errors.json") or {"errors": []}
    root = templates_root()
    result = {"py.typed": ""}
    if sources.house:
        chosen = [path for path in (root / "support").iterdir() if path.suffix in {".py", ".jinja"}]
    else:
        chosen = [*(root / "folder").iterdir(), *(root / "support" / name for name in SHARED)]
        result |= {f"schemas/{spec.name}.json": pretty(spec.schema) for spec in sources.specs}
    for path in sorted(chosen):
        name = path.relative_to(root).as_posix()
        text = render(name, specs=sources.specs, errors=catalogue["errors"], house=sources.house)
        result[path.name.removesuffix(".jinja")] = text
    return result
