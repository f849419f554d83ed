"""Judging HTTP answers by the operations document: status, media type, headers and body of every response."""

import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from dragancorp_contracts import strict_json
from dragancorp_contracts.api.document import openapi_document
from dragancorp_contracts.judge import Violation


class ResponseJudge:
    """Knows which answers an operation may give. `findings` is empty for an answer that keeps the contract."""

    def __init__(self) -> None:
        self._document = openapi_document()
        self._paths = [(_pattern(path), path) for path in self._document["paths"]]
        self._validators: dict[str, Any] = {}

    def findings(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """What is wrong with an answer to `method path`, a sentence each. Header names are compared in lower case."""
        operation = self._operation(method, path)
        if operation is None:
            return [] if status in (404, 405) else [f"{method} {path} is no operation, yet answered {status}"]
        declared = operation["responses"].get(str(status))
        if declared is None:
            return [f"{operation['operationId']} does not declare the status {status}"]
        declared = self._resolved(declared)
        lowered = {name.lower(): value for name, value in headers.items()}
        found = [f"the header {name} is missing" for name in declared.get("headers", {}) if name.lower() not in lowered]
        return found + self._body_findings(declared, lowered, body)

    def _body_findings(self, declared: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> list[str]:
        media_type = headers.get("content-type", "").partition(";")[0].strip()
        contents = declared.get("content", {})
        if media_type not in contents:
            return [f"the media type {media_type!r} is not among {sorted(contents)}"]
        try:
            document = strict_json.loads(body)
        except strict_json.JsonInvalid as error:
            return [f"the body is not strict JSON: {error}"]
        return [
            f"{violation.pointer or '/'}: {violation.message}"
            for violation in self._violations(contents[media_type]["schema"], document)
        ]

    def _violations(self, schema: Mapping[str, Any], document: Any) -> list[Violation]:
        key = repr(schema)
        if key not in self._validators:
            whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
            self._validators[key] = jsonschema_rs.Draft202012Validator(
                {**whole, "components": self._document["components"]}
            )
        return [
            Violation(
                pointer="/" + "/".join(str(part) for part in error.instance_path),
                rule="ops-api/v1",
                message=error.message,
            )
            for error in self._validators[key].iter_errors(document)
        ]

    def _operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        for pattern, template in self._paths:
            if pattern.fullmatch(path):
                operation: Mapping[str, Any] | None = self._document["paths"][template].get(method.lower())
                return operation
        return None

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = node.get("$ref")
        if reference is None:
            return node
        found: Any = self._document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        resolved: Mapping[str, Any] = found
        return resolved


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in path.split("/")))
