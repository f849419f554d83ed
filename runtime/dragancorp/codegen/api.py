"""The HTTP face and its client, by templates over the operations of `specs/ops-api`."""

from dragancorp.codegen import docs_page
from dragancorp.codegen.openapi import FILE, NAME, Document
from dragancorp.codegen.sources import Sources, pretty
from dragancorp.codegen.templating import render, templates_root

BOTH_WAYS = {"client.py.jinja", "transport.py.jinja"}


def emitted(sources: Sources) -> dict[str, str]:
    """`openapi.json`, `docs.html`, `api/` and `client/`, where the contract exists."""
    source = sources.data(NAME, FILE)
    if source is None:
        return {}
    document = Document(sources, source)
    operations = document.operations()
    paths: dict[str, list[str]] = {}
    for operation in operations:
        paths.setdefault(operation.path, []).append(operation.method)
    bundled = document.bundled()
    result = {"openapi.json": pretty(bundled), "docs.html": docs_page.page(bundled)}
    for folder in ("api", "client"):
        for path in sorted((templates_root() / folder).iterdir()):
            if path.suffix not in {".py", ".jinja"}:
                continue
            name = f"{folder}/{path.name}"
            # The blocking client comes from the very templates of the asynchronous one.
            for sync in (False, True) if path.name in BOTH_WAYS else (False,):
                made = name.removesuffix(".jinja").replace("client/", "client/sync_" if sync else "client/")
                result[made] = render(name, operations=operations, paths=paths, sync=sync)
    return result
