"""Judging HTTP answers by the operations document: status, media type, headers and body of every response."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from dragancorp_contracts import strict_json
from dragancorp_contracts.api.document import openapi_document
from dragancorp_contracts.judge import pointer

ELSEWHERE = (400, 401, 404, 405)  # what may be answered where the contract has no operation
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_JSON = re.compile(r"application/([a-z.-]+\+)?json")


class ResponseJudge:
    """Knows which answers an operation may give. `findings` is empty for an answer that keeps the contract."""

    def __init__(self) -> None:
        self._document = openapi_document()
        self._paths = [(_pattern(path), path) for path in self._document["paths"]]
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def findings(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """What is wrong with an answer to `method path`, a sentence each."""
        lowered = {name.lower(): value for name, value in headers.items()}
        operation = self.operation(method, path)
        if operation is None:
            if status not in ELSEWHERE:
                return [f"{method} {path} is no operation, yet it answered {status}"]
            return list(self._body_findings(self._resolved({"$ref": "#/components/responses/404"}), lowered, body))
        declared = operation["responses"].get(str(status))
        if declared is None:
            return [f"{operation['operationId']} does not declare the status {status}"]
        declared = self._resolved(declared)
        return [*self._header_findings(declared, lowered), *self._body_findings(declared, lowered, body)]

    def operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """The contract's operation at this address; None when there is none."""
        for pattern, template in self._paths:
            if pattern.fullmatch(path):
                found: Mapping[str, Any] | None = self._document["paths"][template].get(method.lower())
                if found is not None:
                    return found
        return None

    def _header_findings(self, declared: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
        for name, node in declared.get("headers", {}).items():
            value = headers.get(name.lower())
            if value is None:
                yield f"the header {name} is missing"
                continue
            schema = self._resolved(node).get("schema", {})
            read = int(value) if schema.get("type") == "integer" and value.isascii() and value.isdigit() else value
            yield from (f"the header {name} is {value!r}: {error}" for error in self._errors(schema, read))

    def _body_findings(self, declared: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> Iterator[str]:
        contents = declared.get("content", {})
        media_type = headers.get("content-type", "").partition(";")[0].strip()
        if not contents and not body:
            return
        if media_type not in contents:
            yield f"the media type {media_type!r} is not among {sorted(contents)}"
            return
        if not _JSON.fullmatch(media_type):
            return
        try:
            document = strict_json.loads(body)
        except strict_json.JsonInvalid as error:
            yield f"the body is not strict JSON: {error}"
            return
        yield from self._errors(contents[media_type].get("schema", {}), document)

    def _errors(self, schema: Mapping[str, Any], document: Any) -> Iterator[str]:
        key = repr(schema)
        if key not in self._validators:
            whole = {"$schema": _DIALECT, **schema, "components": self._document["components"]}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        for error in self._validators[key].iter_errors(document):
            yield f"{pointer(error.instance_path) or '/'}: {error.message}"[:1000]

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = node.get("$ref")
        if reference is None:
            return node
        found: Any = self._document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        return self._resolved(found)


@cache
def response_judge() -> ResponseJudge:
    """The judge that all runs share: its validators take a while to build."""
    return ResponseJudge()


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in path.split("/")))
