"""An optional field of the envelope is one edit in `specs/`: everything else follows from it.

The edit is made in a copy of the checkout; code is generated, a control plane served and a client run from there.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.one_edit.checkout import ROOT, Checkout

ENVELOPE = "specs/mission-envelope/v1"
FIELD = "ticket"
WORDS = "The ticket that asked for the work."
ECHO: dict[str, Any] = {
    "uri": "https://dragancorp.dev/specs/automation-mission/v1/schema.json",
    "required": True,
    "value": {"steps": [{"run": ["echo", "done"]}]},
}
DOCUMENT: dict[str, Any] = {
    "vp_id": "vp.coder.primary",
    "mission_type": "automation",
    "objective": "Show that one edit is enough.",
    "extensions": [ECHO],
    "source_instance_id": "simone",
    FIELD: "PARSER-17",
}
# Run from the copy: the generated model and the generated client, and nothing written by hand.
CLIENT = f"""
import asyncio, json, sys
from dragancorp_contracts.client import Client
from dragancorp_contracts.models.mission_envelope_v1 import MissionEnvelope

async def main(url, token, document):
    envelope = MissionEnvelope.model_validate(document)
    assert envelope.{FIELD} == document["{FIELD}"]
    async with Client(url, token) as client:
        sent = await client.dispatch_mission(envelope)
        got = await client.get_mission(sent["mission_id"])
    print(json.dumps({{"sent": sent, "got": got}}))

asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
"""


pytestmark = pytest.mark.xdist_group("one edit")  # the checkout is copied and generated once


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The copy with the one edit, and code generated from it."""
    copy = Checkout.copied_to(tmp_path_factory.mktemp("one-edit") / "checkout")
    with copy.edit(f"{ENVELOPE}/schema.json") as schema:
        assert FIELD not in schema["properties"]
        schema["properties"][FIELD] = {"description": WORDS, "$ref": "../../common/v1/schema.json#/$defs/id"}
    copy.make_codegen()
    return copy


@pytest.fixture(scope="module")
def plane(edited: Checkout) -> Iterator[Any]:
    with edited.plane() as served:
        yield served


def test_no_line_that_is_written_by_hand_changes(edited: Checkout) -> None:
    changed = edited.changed()

    assert f"{ENVELOPE}/schema.json" in changed
    assert "generated/dragancorp_contracts/models/mission_envelope_v1.py" in changed
    by_hand = {path for path in changed if not path.startswith(("generated/", "docs/reference/"))}
    assert by_hand == {f"{ENVELOPE}/schema.json"}


def test_the_comparison_calls_it_safe(edited: Checkout) -> None:
    said = json.loads(edited.python("-m", "dragancorp.cli", "spec", "diff", "HEAD", "specs", "--json"))

    assert (said["refused"], said["breaking"]) == (0, 0)
    assert [(one["rule"], one["place"]) for one in said["changes"]] == [
        ("DIF-11", f"mission-envelope/v1#/properties/{FIELD}")
    ]


def test_it_is_accepted_stored_and_returned_through_the_generated_model_and_client(
    edited: Checkout, plane: Any
) -> None:
    document = {**DOCUMENT, "idempotency_key": "by-client"}

    answers = json.loads(edited.python("-c", CLIENT, plane["url"], plane["token"], json.dumps(document)))

    assert answers["sent"]["envelope"][FIELD] == DOCUMENT[FIELD]
    assert answers["got"]["envelope"][FIELD] == DOCUMENT[FIELD]


def test_its_bounds_are_kept_by_the_server(plane: Any) -> None:
    body = {**DOCUMENT, FIELD: "-", "idempotency_key": "by-hand"}

    answer = httpx.post(
        f"{plane['url']}/api/v1/missions", json=body, headers={"Authorization": f"Bearer {plane['token']}"}
    )

    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["violations"]] == [f"/{FIELD}"]


def test_an_extension_of_a_version_there_is_not_is_refused_and_never_read_as_an_older_one(plane: Any) -> None:
    newer = {**ECHO, "uri": ECHO["uri"].replace("/v1/", "/v3/")}
    body = {**DOCUMENT, "extensions": [newer], "idempotency_key": "newer"}

    answer = httpx.post(
        f"{plane['url']}/api/v1/missions", json=body, headers={"Authorization": f"Bearer {plane['token']}"}
    )

    assert answer.status_code == 422
    assert ECHO["uri"] in answer.json()["violations"][0]["message"]  # the version that is read here


def test_it_is_documented_in_what_the_server_serves_so_that_fuzzing_meets_it(plane: Any) -> None:
    document = httpx.get(f"{plane['url']}/openapi.json").json()

    described = [
        schema["properties"][FIELD]["description"]
        for schema in document["components"]["schemas"].values()
        if FIELD in schema.get("properties", {})
    ]
    assert described == [WORDS]


def test_it_is_documented_in_the_reference(edited: Checkout) -> None:
    pages = [path for path in edited.changed() if path.startswith("docs/reference/")]
    written = [path for path in pages if re.search(rf"\b{FIELD}\b", (edited.folder / path).read_text())]

    # Wherever the reference is generated, the page of the envelope is made anew with the field in it.
    assert bool(written) == makes_reference(ROOT)


def makes_reference(root: Path) -> bool:
    """Whether `make codegen` writes reference pages."""
    recipe = (root / "Makefile").read_text().partition("\ncodegen:")[2].partition("\n\n")[0]
    return "docs/reference" in recipe or (root / "docs" / "reference").is_dir()
