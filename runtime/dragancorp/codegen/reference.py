"""The reference in Markdown: a page for each contract, and those of the operations, the errors, the life cycles."""

from dragancorp.codegen import reference_contract, reference_lifecycle, reference_operations
from dragancorp.codegen.markdown import BANNER, cell, table
from dragancorp.codegen.sources import Sources


def emitted(sources: Sources) -> dict[str, str]:
    """The text of every page by its path."""
    pages = {f"{page_name(name)}.md": text for name, text in reference_contract.pages(sources).items()}
    entries = [
        (f"[{spec.contract}]({page_name(spec.contract)}.md)", reference_contract.summary(spec))
        for spec in sources.specs
    ]
    others = []
    catalogue = sources.data("errors", "errors.json")
    if catalogue is not None:
        pages["error-catalogue.md"] = _errors(catalogue["errors"])
        others.append(
            ("[Error catalogue](error-catalogue.md)", "every code: status, meaning, what to do, whether to try again")
        )
    tables = sources.data("lifecycle", "lifecycle.json")
    if tables is not None:
        pages["life-cycles.md"] = reference_lifecycle.page(tables)
        others.append(
            ("[Life cycles](life-cycles.md)", "states, events, reasons and every step of missions and sessions")
        )
    operations = reference_operations.page(sources)
    if operations is not None:
        pages["operations.md"] = operations
        others.append(("[Operations](operations.md)", "the HTTP operations: scopes, limits, parameters, answers"))
    parts = [BANNER, "# Reference\n", table(("contract", "what it is"), entries)]
    if others:
        parts.append("\n## Beside the contracts\n\n" + table(("page", "what it lists"), others))
    pages["README.md"] = "".join(f"{part.rstrip()}\n\n" for part in parts).rstrip() + "\n"
    return pages


def page_name(contract: str) -> str:
    """The file of a contract's page, without its ending: `mission-envelope-v1`."""
    return contract.replace("/", "-")


def _errors(entries: list[dict[str, object]]) -> str:
    rows = [
        (
            f"`{one['code']}`",
            str(one["status"]),
            str(one["title"]),
            cell(str(one["hint"])),
            "yes" if one["retryable"] else "no",
        )
        for one in entries
    ]
    head = f"{BANNER}\n# Error catalogue\n\nEvery refusal is `application/problem+json` with one of these codes.\n\n"
    return head + table(("code", "status", "what happened", "what to do", "try again"), rows)
