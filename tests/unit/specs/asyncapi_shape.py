"""The shape of an AsyncAPI 3.0 document, as far as it can be checked offline: what stands where, what leads where."""

import re
from collections.abc import Iterator
from typing import Any

from dragancorp_contracts import resources

ROOT = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
INFO = {"title", "version", "description", "termsOfService", "contact", "license", "tags", "externalDocs"}
SERVER = {
    "host", "protocol", "protocolVersion", "pathname", "description", "title", "summary", "variables", "security",
    "tags", "externalDocs", "bindings",
}  # fmt: skip
CHANNEL = {
    "address", "messages", "title", "summary", "description", "servers", "parameters", "tags", "externalDocs",
    "bindings",
}  # fmt: skip
OPERATION = {
    "action", "channel", "title", "summary", "description", "security", "tags", "externalDocs", "bindings", "traits",
    "messages", "reply",
}  # fmt: skip
MESSAGE = {
    "headers", "payload", "correlationId", "contentType", "name", "title", "summary", "description", "tags",
    "externalDocs", "bindings", "examples", "traits",
}  # fmt: skip
SCHEMES = {"http": {"scheme"}, "httpApiKey": {"name", "in"}}


def problems(document: Any, folder: str) -> Iterator[str]:
    """Everything that is not as AsyncAPI 3.0 has it, a sentence each; `folder` is the contract's: `callbacks/v1`."""
    yield from _members(document, ROOT, {"asyncapi", "info"}, "the document")
    yield from _members(document["info"], INFO, {"title", "version"}, "info")
    if not re.fullmatch(r"3\.0\.[0-9]+", document["asyncapi"]):
        yield f"{document['asyncapi']} is no 3.0"
    for name, server in document["servers"].items():
        yield from _members(server, SERVER, {"host", "protocol"}, f"server {name}")
        yield from _braces(server["host"], server.get("variables", {}), f"server {name}")
    for name, channel in document["channels"].items():
        yield from _members(channel, CHANNEL, {"address"}, f"channel {name}")
        yield from _braces(channel["address"], channel.get("parameters", {}), f"channel {name}")
    for name, operation in document["operations"].items():
        yield from _operation(document, name, operation)
    for name, message in document["components"]["messages"].items():
        yield from _members(message, MESSAGE, set(), f"message {name}")
        yield from _multi_format(message["payload"], f"message {name}")
    for name, scheme in document["components"]["securitySchemes"].items():
        missing = SCHEMES.get(scheme["type"], {"type of a known kind"}) - scheme.keys()
        yield from (f"security scheme {name} has no {one}" for one in missing)
    yield from _references(document, folder)


def _members(node: Any, known: set[str], required: set[str], where: str) -> Iterator[str]:
    yield from (f"{where} has no {name}" for name in sorted(required - node.keys()))
    unknown = {name for name in node if name not in known and not name.startswith("x-")}
    yield from (f"{where} has {name}, which AsyncAPI does not know" for name in sorted(unknown))


def _braces(text: str, declared: Any, where: str) -> Iterator[str]:
    if set(re.findall(r"\{([^}]*)\}", text)) != set(declared):
        yield f"{where}: {text} and its {sorted(declared)} do not name the same"


def _operation(document: Any, name: str, operation: Any) -> Iterator[str]:
    yield from _members(operation, OPERATION, {"action", "channel"}, f"operation {name}")
    if operation["action"] not in {"send", "receive"}:
        yield f"operation {name} neither sends nor receives"
    channel = operation["channel"]["$ref"]
    if not re.fullmatch(r"#/channels/[a-z_]+", channel):
        yield f"operation {name}: {channel} is no channel of the document"
    for message in operation.get("messages", ()):
        # The messages of an operation are those of its channel, by reference into the channel.
        if not message["$ref"].startswith(f"{channel}/messages/"):
            yield f"operation {name}: {message['$ref']} is no message of its channel"


def _multi_format(payload: Any, where: str) -> Iterator[str]:
    if payload.keys() != {"schemaFormat", "schema"}:
        yield f"{where}: a payload in another format than AsyncAPI's own says which, and nothing else"


def _references(document: Any, folder: str) -> Iterator[str]:
    for reference in _found(document):
        file, _, pointer = reference.partition("#")
        target: Any = document
        if file:
            parts = re.fullmatch(r"\.\./\.\./([a-z-]+)/(v[0-9]+)/(schema\.json)", file)
            if parts is None:
                yield f"{folder}: {reference} is no relative reference to another contract"
                continue
            target = resources.read_document(*parts.groups())
        for part in pointer.split("/")[1:]:
            target = target.get(part) if isinstance(target, dict) else None
        if target is None:
            yield f"{folder}: {reference} leads nowhere"


def _found(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from _found(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _found(inner)
