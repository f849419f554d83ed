"""The AsyncAPI document: its shape, and that it says what the other contracts say."""

import base64
import copy
import hashlib
import hmac
import json
import re
from typing import Any

import pytest

from dragancorp_contracts import judge, resources

from .asyncapi_shape import problems

DOCUMENT = resources.read_document("callbacks", file="asyncapi.json")
MESSAGES = DOCUMENT["components"]["messages"]


def _set(pointer: str, value: Any) -> Any:
    document = copy.deepcopy(DOCUMENT)
    node = document
    *way, last = pointer.split("/")[1:]
    for part in way:
        node = node[part]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return document


def test_the_document_has_the_shape_of_asyncapi_3() -> None:
    assert list(problems(DOCUMENT, "callbacks/v1")) == []


@pytest.mark.parametrize(
    ("pointer", "value", "said"),
    [
        ("/asyncapi", "2.6.0", "is no 3.0"),
        ("/info/version", None, "info has no version"),
        ("/channels/session_stream/subscribe", {}, "which AsyncAPI does not know"),
        ("/channels/session_stream/address", "/sessions/{id}", "do not name the same"),
        ("/operations/receive_turn/action", "publish", "neither sends nor receives"),
        ("/operations/receive_turn/messages", [{"$ref": "#/components/messages/turn"}], "no message of its channel"),
        ("/components/messages/turn/payload", {"type": "object"}, "says which"),
        ("/components/messages/turn/payload/schema", {"$ref": "../../turn/v1/schema.jsn"}, "no relative reference"),
        ("/channels/session_stream/messages/turn", {"$ref": "#/components/messages/trun"}, "leads nowhere"),
    ],
)
def test_the_check_of_the_shape_can_fail(pointer: str, value: Any, said: str) -> None:
    assert any(said in one for one in problems(_set(pointer, value), "callbacks/v1"))


def test_every_body_is_that_of_another_contract() -> None:
    for message in MESSAGES.values():
        assert message["payload"]["schema"].keys() == {"$ref"}


@pytest.mark.parametrize(
    ("message", "example"),
    [
        ("mission_event_callback", "mission-event/v1/examples/valid/completed.json"),
        ("mission_event_stream", "mission-event/v1/examples/valid/minimal.json"),
        ("session_frame", "gateway-turn/v1/examples/valid/session_frame/full.json"),
        ("turn", "gateway-turn/v1/examples/valid/turn/full.json"),
        ("problem", "errors/v1/examples/valid/full.json"),
    ],
)
def test_a_message_carries_documents_of_its_contract(message: str, example: str) -> None:
    reference = MESSAGES[message]["payload"]["schema"]["$ref"].removeprefix("../../")
    document = json.loads((resources.specs_root() / example).read_text(encoding="utf-8"))
    assert judge.violations_at(reference, document) == []
    assert judge.violations_at(reference, []) != []


def test_the_headers_take_what_standard_webhooks_signs() -> None:
    headers = MESSAGES["mission_event_callback"]["headers"]["properties"]
    digest = hmac.new(b"0123456789abcdef", b"evt-1.1763802600.{}", hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    pattern = headers["webhook-signature"]["pattern"]
    assert re.fullmatch(pattern, signature)
    assert re.fullmatch(pattern, f"{signature} {signature}")
    assert not re.fullmatch(pattern, f"{signature},{signature}")
    assert not re.fullmatch(pattern, digest.hex())


def test_streams_have_the_addresses_and_scopes_that_the_operations_of_the_api_have() -> None:
    api = resources.read_document("ops-api", file="openapi.json")
    for operation in DOCUMENT["operations"].values():
        channel = DOCUMENT["channels"][operation["channel"]["$ref"].rsplit("/", 1)[-1]]
        twin = api["paths"].get(channel["address"], {}).get("get")
        if twin is not None:
            assert operation["x-dragan-scopes"] == twin["x-dragan-scopes"]
            assert operation["x-dragan-status"] == twin["x-dragan-status"]


def test_only_scopes_that_a_token_can_have_are_asked_for() -> None:
    scopes = set(json.dumps(resources.read_document("tokens")).split('"'))
    for operation in DOCUMENT["operations"].values():
        assert set(operation.get("x-dragan-scopes", ())) <= scopes
