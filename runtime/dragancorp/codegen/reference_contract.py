"""The page of one contract: its members, the rules that no schema can say, and its examples."""

import re
from collections.abc import Iterator
from typing import Any

from dragancorp.codegen import prose
from dragancorp.codegen.markdown import BANNER, cell, fenced, table
from dragancorp.codegen.references import Place, References, root
from dragancorp.codegen.sources import Sources, Spec, pretty, read_json

_LARGEST_EXAMPLE = 6000
_RULE = re.compile(r"^\| `?([A-Z]{3}-[0-9]+)`? \| (.+?) \|", re.MULTILINE)


def pages(sources: Sources) -> dict[str, str]:
    """Every page by the name of its contract."""
    references = References(sources)
    return {spec.contract: "\n".join(_parts(spec, references)) for spec in sources.specs}


def summary(spec: Spec) -> str:
    """What a contract is, in a sentence."""
    return str(spec.schema.get("description", "")) if isinstance(spec.schema, dict) else ""


def _parts(spec: Spec, references: References) -> Iterator[str]:
    schema = spec.schema if isinstance(spec.schema, dict) else {}
    place = root(spec)
    yield f"{BANNER}\n# {spec.contract}\n\n{summary(spec)}\n"
    facts = [f"Address: `{spec.address}`"]
    if "x-dragan-reader" in schema:
        facts.append(f"read **{schema['x-dragan-reader']}**")
    yield f"{', '.join(facts)}.\n"
    yield from _shape(place, references)
    for keyword, inner in place.inner():
        if keyword in {"$defs", "definitions"}:
            yield f"## {inner.path[1]}\n"
            if isinstance(inner.schema, dict):
                told = "; ".join([prose.kind(inner.schema, _linker(inner, references)), *prose.bounds(inner.schema)])
                yield f"{inner.schema.get('description', '')}\n\nType: {told}.\n"
            yield from _shape(inner, references)
    yield from _rules(spec)
    yield from _examples(spec)


def _shape(place: Place, references: References) -> Iterator[str]:
    found = list(prose.rows(place.schema, _linker(place, references)))
    if found:
        rows = [
            (f"`{one.name}`", one.kind, "yes" if one.required else "", "; ".join(one.bounds), one.description)
            for one in found
        ]
        yield table(("member", "type", "required", "bounds", "meaning"), rows)
    elif not place.path:
        told = [prose.kind(place.schema, _linker(place, references)), *prose.bounds(place.schema)]
        yield f"Type: {'; '.join(told)}.\n"
    sentences = list(prose.conditions(place.schema))
    if sentences:
        yield "".join(f"- {sentence}\n" for sentence in sentences)


def _rules(spec: Spec) -> Iterator[str]:
    """The rules with short ids, from the contract's own README."""
    readme = spec.path.parent / "README.md"
    rows = _RULE.findall(readme.read_text(encoding="utf-8")) if spec.version and readme.is_file() else []
    if rows:
        yield "## Rules beyond the schema\n"
        yield table(("rule", "what it asks"), [(f"`{rule}`", cell(sentence)) for rule, sentence in rows])


def _examples(spec: Spec) -> Iterator[str]:
    folder = spec.path.parent / "examples" / "valid"
    shown = (
        [path for path in sorted(folder.glob("*.json")) if path.stat().st_size <= _LARGEST_EXAMPLE]
        if spec.version
        else []
    )
    if shown:
        yield "## Examples\n"
        for path in shown:
            yield f"### {path.stem}\n\n{fenced(pretty(read_json(path)), 'json')}"


def _linker(place: Place, references: References) -> prose.Link:
    def link(reference: str) -> str:
        target = references.find(place.base, reference)
        if target is None:
            return reference
        name = target.path[-1] if target.path else target.spec.contract
        page = "" if target.spec == place.spec else f"{target.spec.contract.replace('/', '-')}.md"
        anchor = f"#{_anchor(name)}" if target.path else ""
        return f"[{name}]({page}{anchor})" if page or anchor else f"[{name}](#{_anchor(name)})"

    return link


def _anchor(name: Any) -> str:
    return re.sub(r"[^a-z0-9_-]", "", str(name).lower().replace(" ", "-"))
