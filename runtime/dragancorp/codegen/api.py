"""The HTTP face and its client, by templates over the operations of `specs/ops-api`."""

import json

from dragancorp.codegen.openapi import FILE, NAME, Document
from dragancorp.codegen.sources import Sources
from dragancorp.codegen.templating import render, templates_root


def emitted(sources: Sources) -> dict[str, str]:
    """`openapi.json`, `api/` and `client/`, where the contract exists."""
    source = sources.data(NAME, FILE)
    if source is None:
        return {}
    document = Document(sources, source)
    operations = document.operations()
    paths: dict[str, list[str]] = {}
    for operation in operations:
        paths.setdefault(operation.path, []).append(operation.method)
    result = {"openapi.json": json.dumps(document.bundled(), indent=2, ensure_ascii=False) + "\n"}
    for folder in ("api", "client"):
        for path in sorted((templates_root() / folder).iterdir()):
            if path.suffix in {".py", ".jinja"}:
                name = f"{folder}/{path.name}"
                result[name.removesuffix(".jinja")] = render(name, operations=operations, paths=paths)
    return result
