"""What a run leaves behind: a document of the contract, JUnit, a page; a failure can be seen again."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dragancorp.rules import violations

from .broken.ledgers import CancelOnce
from .broken.missions import ReuseOfKeyAccepted
from .minimal_server.server import FULL_TOKEN, LIMITED_TOKEN
from .serving import served

Asked = Callable[..., tuple[int, dict[str, Any]]]
SOME = ("CAN-1", "CAN-2", "OPS-13", "ERR-12", "AUT-2")


class CancelOnceWithoutStream(CancelOnce):
    """Forgets its cancels, and says of its stream that it is planned."""

    planned = ("stream_mission_events",)


@pytest.fixture
def failed(asked: Asked, files: dict[str, Path]) -> dict[str, Any]:
    """The report on a server that forgets its cancels; the files are written."""
    with served(CancelOnceWithoutStream()) as url:
        _, report = asked(url, *SOME, full_lane=None, **files)
    return report


def test_a_report_keeps_its_contract_and_every_rule_of_it(failed: dict[str, Any], files: dict[str, Path]) -> None:
    assert violations("conformance-report", failed) == []
    assert json.loads(files["json"].read_text()) == failed
    assert failed["totals"] == {"passed": 2, "failed": 1, "not_implemented": 1, "not_covered": 1}


def test_a_failure_shows_request_answer_reason_and_both_commands(failed: dict[str, Any]) -> None:
    [failure] = next(one for one in failed["results"] if one["requirement_id"] == "CAN-2")["failures"]
    assert failure["request"]["method"] == "POST"
    assert failure["request"]["url"].endswith("/cancel")
    assert failure["answer"]["status"] == 409
    assert "expected 200" in failure["why"]
    assert "--only CAN-2" in failure["repeat"]
    assert shlex.split(failure["command"])[0] == "curl"


def test_the_curl_line_shows_the_failure_again(asked: Asked) -> None:
    with served(ReuseOfKeyAccepted()) as url:
        _, report = asked(url, "IDM-2")
        failure = report["results"][0]["failures"][0]
        done = subprocess.run(
            ["sh", "-c", failure["command"]],
            env={"UA_OPS_TOKEN": FULL_TOKEN, "PATH": "/usr/bin:/bin:/usr/local/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.splitlines()[0].split()[1] == str(failure["answer"]["status"])


def test_no_token_is_in_a_report(asked: Asked, files: dict[str, Path]) -> None:
    class Echo(CancelOnce):
        def lane(self, vp_id: str) -> dict[str, Any]:
            return super().lane(vp_id) | {"last_error": f"{FULL_TOKEN} {LIMITED_TOKEN}", "beat": "wrong"}

    class Loose(Echo):
        def token(self, request: Any) -> str:
            return FULL_TOKEN

    with served(Loose()) as url:
        asked(url, "AUT-2", "AUT-5", "API-2", "RAW-2", "CAN-2", **files)
    for path in files.values():
        text = path.read_text()
        for secret in (FULL_TOKEN, FULL_TOKEN[:-1], FULL_TOKEN.swapcase(), LIMITED_TOKEN):
            assert secret not in text, path


def test_junit_counts_what_the_report_counts(failed: dict[str, Any], files: dict[str, Path]) -> None:
    suite = ElementTree.parse(files["junit"]).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "1", "2")
    assert len(suite.findall(".//failure")) == 1


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_the_page_fetches_nothing_and_escapes_everything(failed: dict[str, Any], files: dict[str, Path]) -> None:
    page = files["html"].read_text()
    links = _Links()
    links.feed(page)
    assert all(link.startswith("#") for link in links.fetched)
    assert not {"script", "link", "img", "iframe", "object"} & set(links.tags)
    assert not re.search(r"@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert "does not conform" in page


def test_text_of_the_server_does_not_become_markup(asked: Asked, files: dict[str, Path]) -> None:
    class Script(CancelOnce):
        def lane(self, vp_id: str) -> dict[str, Any]:
            return super().lane(vp_id) | {"last_error": "<script>alert(1)</script>\u0000\u001b", "beat": "wrong"}

    with served(Script()) as url:
        asked(url, "API-2", **files)
    assert "<script" not in files["html"].read_text()
    ElementTree.parse(files["junit"])
