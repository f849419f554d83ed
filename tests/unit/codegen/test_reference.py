"""The reference pages and the human page say what the specs say."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

from dragancorp_contracts import errors, lifecycle, resources
from dragancorp_contracts.api import docs_page, operations

from .conftest import ROOT

PAGES = ROOT / "docs" / "reference"
VOID = {"meta", "link", "br", "img", "input", "hr"}


def page(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def test_every_contract_has_a_page_with_every_member_and_what_it_means():
    for name in resources.names():
        if (resources.specs_root() / name / "v1" / "schema.json").is_file():
            text = page(f"{name}-v1.md")
            schema = resources.read_document(name)
            assert schema["description"] in text
            for member in schema["properties"]:
                assert f"| `{member}` |" in text


def test_every_rule_beyond_the_schemas_is_on_its_contracts_page():
    for path in resources.specs_root().glob("*/v1/README.md"):
        rules = re.findall(r"^\| `?([A-Z]{3}-[0-9]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if rules and (path.parent / "schema.json").is_file():
            text = page(f"{path.parent.parent.name}-v1.md")
            assert all(f"| `{rule}` |" in text for rule in rules), path


def test_every_error_code_and_every_step_is_listed():
    catalogue, cycles = page("error-catalogue.md"), page("life-cycles.md")
    assert all(f"| `{code}` |" in catalogue for code in errors.ErrorCode)
    for row in (*lifecycle.MISSION_TRANSITIONS, *lifecycle.SESSION_TRANSITIONS):
        assert f"| {row.id} |" in cycles
    assert cycles.count("stateDiagram-v2") == 2


def test_every_operation_is_on_the_pages():
    text, html = page("operations.md"), docs_page.docs_page()
    for operation in operations.OPERATIONS.values():
        assert f"`{operation.method} {operation.path}`" in text
        assert f'id="{operation.id}"' in html
        assert operation.path in html


def test_links_between_pages_lead_somewhere():
    names = {path.name for path in PAGES.iterdir()}
    for path in PAGES.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+\.md)", path.read_text(encoding="utf-8")):
            assert target in names, (path.name, target)


def test_the_human_page_needs_nothing_from_anywhere():
    html = docs_page.docs_page()
    assert not re.search(r"<(script|img|link|iframe|object)|url\(|@import|src=|https?://[^<\s]*\.(js|css)", html)
    assert "prefers-color-scheme: dark" in html
    assert "Skip to the operations" in html


def test_the_human_page_is_well_formed_and_its_links_lead_to_places_on_it():
    class Page(HTMLParser):
        open: list[str]
        ids: set[str]
        links: set[str]

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            if given.get("id"):
                assert given["id"] not in self.ids, given["id"]
                self.ids.add(str(given["id"]))
            if (given.get("href") or "").startswith("#"):
                self.links.add(str(given["href"])[1:])
            if tag not in VOID:
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    parser = Page()
    parser.open, parser.ids, parser.links = [], set(), set()
    parser.feed(docs_page.docs_page())
    assert parser.open == []
    assert parser.links <= parser.ids


def test_text_of_the_document_is_escaped(tmp_path: Path):
    from dragancorp.codegen.docs_page import page as made

    document = json.loads((ROOT / "generated" / "dragancorp_contracts" / "openapi.json").read_text())
    document["info"]["description"] = "<script>alert(1)</script> `<b>`"
    html = made(document)
    assert "<script" not in html
    assert "<code>&lt;b&gt;</code>" in html
