"""A toy house: a few contracts and an ops API of their own, generated as the package `toy_contracts`."""

import copy
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dragancorp.codegen import generate

ROOT = Path(__file__).resolve().parents[3]
BASE = "https://dragancorp.dev/specs/"

NOTE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": f"{BASE}note/v1/schema.json",
    "title": "Note",
    "description": "A note on a lane.",
    "x-dragan-reader": "strict",
    "type": "object",
    "properties": {
        "vp_id": {"$ref": "../../common/v1/schema.json#/$defs/vp_id"},
        "text": {"description": "What it says.", "type": "string", "minLength": 1, "maxLength": 20},
        "idempotency_key": {"description": "Makes a repeat safe.", "type": "string", "minLength": 1},
        "a/b~c": {"description": "A name that a pointer has to escape.", "type": "integer"},
        "from": {"description": "A name that Python keeps for itself.", "type": "string"},
        "written_at": {"$ref": "../../common/v1/schema.json#/$defs/timestamp"},
        "weight": {"description": "A count.", "type": "integer", "minimum": 0},
        "kind": {"description": "With a default.", "type": "string", "enum": ["plain", "loud"], "default": "plain"},
        "replies": {
            "description": "Notes on the note.",
            "type": "array",
            "items": {"$ref": "#"},
            "maxItems": 3,
        },
    },
    "required": ["vp_id", "text"],
    "additionalProperties": False,
    "allOf": [
        {
            "if": {"properties": {"kind": {"const": "loud"}}, "required": ["kind"]},
            "then": {"required": ["weight"]},
        }
    ],
}


EXAMPLES: dict[str, Any] = {
    "valid/minimal": {"vp_id": "vp.coder.primary", "text": "hello"},
    "valid/loud": {"vp_id": "vp.coder.primary", "text": "hello", "kind": "loud", "weight": 1},
    "valid/edge": {"vp_id": "vp.coder.primary", "text": "h"},
    "invalid/text-minLength": {
        "breaks": "note/v1#/properties/text/minLength",
        "pointer": "/text",
        "document": {"vp_id": "vp.coder.primary", "text": ""},
    },
}


def operation(name: str, **more: Any) -> dict[str, Any]:
    """An operation that answers a note, with what every operation says."""
    answer = {"content": {"application/json": {"schema": {"$ref": "../../note/v1/schema.json"}}}}
    return {
        "operationId": name,
        "summary": f"The operation {name}",
        "x-dragan-scopes": ["notes:read"],
        "x-dragan-level": "core",
        "x-dragan-status": "served",
        "responses": {"200": {"description": "The note.", **answer}},
        **more,
    }


def openapi() -> dict[str, Any]:
    """The toy API."""
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "../../note/v1/schema.json"}}}}
    note_id = {"$ref": "../../common/v1/schema.json#/$defs/id"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Notes", "version": "1.0.0"},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "parameters": {
                "limit": {
                    "name": "limit",
                    "in": "query",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 9, "default": 5},
                }
            },
        },
        "paths": {
            "/notes": {
                "post": operation(
                    "write_note",
                    requestBody=body,
                    **{"x-dragan-scopes": ["notes:write"], "x-dragan-limits": {"body_bytes": 4096}},
                ),
                "get": operation(
                    "list_notes",
                    parameters=[
                        {"$ref": "#/components/parameters/limit"},
                        {
                            "name": "vp_id",
                            "in": "query",
                            "schema": {"$ref": "../../common/v1/schema.json#/$defs/vp_id"},
                        },
                        {"name": "loud", "in": "query", "schema": {"type": "boolean"}},
                        {"name": "share", "in": "query", "schema": {"type": "number", "minimum": 0, "maximum": 1}},
                        {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    ],
                    responses={
                        "200": {
                            "description": "What was asked for.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        }
                    },
                ),
            },
            "/notes/{note_id}": {
                "parameters": [{"name": "note_id", "in": "path", "required": True, "schema": note_id}],
                "get": operation("get_note"),
                "delete": operation("tear_note", **{"x-dragan-status": "planned"}),
            },
            "/notes/{note_id}/stream": {
                "parameters": [{"name": "note_id", "in": "path", "required": True, "schema": note_id}],
                "get": operation(
                    "follow_note",
                    parameters=[{"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}],
                    responses={
                        "200": {
                            "description": "Events.",
                            "content": {"text/event-stream": {"schema": {"type": "string"}}},
                        }
                    },
                ),
            },
            "/healthz": {
                "get": operation(
                    "get_health",
                    security=[],
                    responses={
                        "200": {"description": "Alive.", "content": {"text/plain": {"schema": {"type": "string"}}}}
                    },
                    **{"x-dragan-scopes": []},
                )
            },
        },
    }


def write_specs(folder: Path, *, note: dict[str, Any] | None = None, api: dict[str, Any] | None = None) -> Path:
    """A folder of contracts: the real `common` and `errors`, the toy `note` and, when given, an API."""
    for name in ("common", "errors"):
        shutil.copytree(ROOT / "specs" / name, folder / name)
    write(folder / "note" / "v1" / "schema.json", note or NOTE)
    for name, document in EXAMPLES.items():
        write(folder / "note" / "v1" / "examples" / f"{name}.json", document)
    if api is not None:
        write(folder / "ops-api" / "v1" / "openapi.json", api)
    return folder


def write(path: Path, document: Any) -> None:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")


@pytest.fixture
def note() -> dict[str, Any]:
    """The toy contract, to be changed."""
    return copy.deepcopy(NOTE)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The toy house, generated and importable as `toy_contracts`; its root folder."""
    root = tmp_path_factory.mktemp("toy")
    write_specs(root / "specs", api=openapi())
    generate(root / "specs", root / "generated" / "toy_contracts")
    sys.path.insert(0, str(root / "generated"))
    yield root
    sys.path.remove(str(root / "generated"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy_contracts"]:
        del sys.modules[name]
