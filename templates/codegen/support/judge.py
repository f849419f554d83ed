"""The judge: which rules of its contract a document breaks. The JSON Schemas decide, nothing else.

A rule's id is the place of the schema keyword that refused, in the document that keyword stands in:
`mission-envelope/v1#/properties/objective/maxLength`. What a contract borrows is named where it is written
(`common/v1#/$defs/vp_id/pattern`), so one rule has one id wherever it is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self

import jsonschema_rs
from pydantic import MISSING, BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import PydanticCustomError, to_jsonable_python

from . import resources, strict_json

__all__ = ["ContractRoot", "Violation", "is_valid", "pointer", "rule_id", "violations", "violations_at"]

BASE = "https://dragancorp.dev/specs/"
NOT_JSON = "common/v1#json"  # the rule broken by a value that JSON cannot hold
MOST = 1000  # violations reported for one document; more help nobody

_POINTER_LENGTH = 2000
_MESSAGE_LENGTH = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """One broken rule."""

    pointer: str
    """The JSON pointer of the offending place; empty for the whole document."""
    rule: str
    """The rule's id."""
    message: str
    """What is wrong, in a sentence."""
    line: int | None = None
    """The line in the file, from 1, for documents read from a file."""

    def as_json(self) -> dict[str, Any]:
        """The violation as it stands in problem details; a line that is not known is left out."""
        body: dict[str, Any] = {"pointer": self.pointer, "rule": self.rule, "message": self.message}
        if self.line is not None:
            body["line"] = self.line
        return body


@cache
def _registry() -> jsonschema_rs.Registry:
    found: list[tuple[str, dict[str, Any]]] = []
    for path in sorted(resources.specs_root().glob("*/*/*.json")):
        name, version, file = path.parts[-3:]
        if file in {"schema.json", "openapi.json"}:
            found.append((f"{BASE}{name}/{version}/{file}", resources.read_document(name, version, file)))
    return jsonschema_rs.Registry(found, draft=jsonschema_rs.Draft202012)


@cache
def _validator(reference: str) -> jsonschema_rs.Draft202012Validator:
    # A path of the API holds braces, which a URI may not.
    address = BASE + reference.replace("{", "%7B").replace("}", "%7D")
    return jsonschema_rs.Draft202012Validator(
        {"$ref": address}, validate_formats=True, registry=_registry(), offline=True
    )


@cache
def _of_contract(name: str, version: str) -> jsonschema_rs.Draft202012Validator:
    resources.document_path(name, version)  # an unknown contract is a KeyError that lists the known ones
    return _validator(f"{name}/{version}/schema.json")


def violations(name: str, document: Any, version: str = "v1") -> list[Violation]:
    """Every rule of the contract that the document breaks; an empty list when it is valid.

    `document` is what `strict_json.loads` gives. Raises `KeyError` for a contract there is not.
    """
    return _violations(_of_contract(name, version), document)


def violations_at(reference: str, document: Any) -> list[Violation]:
    """The same for a schema inside a contract, e.g. `ops-api/v1/openapi.json#/components/schemas/MissionList`."""
    return _violations(_validator(reference), document)


def is_valid(name: str, document: Any, version: str = "v1") -> bool:
    """Whether the document keeps every rule of the contract."""
    try:
        return _of_contract(name, version).is_valid(document)
    except (ValueError, TypeError):
        return False


def _violations(validator: jsonschema_rs.Draft202012Validator, document: Any) -> list[Violation]:
    found: list[Violation] = []
    try:
        if validator.is_valid(document):  # ten times faster than finding no error, and the usual case
            return found
        for error in validator.iter_errors(document):
            found.append(
                Violation(
                    pointer=_shortened(pointer(error.instance_path), _POINTER_LENGTH),
                    rule=rule_id(error.absolute_keyword_location),
                    message=_shortened(error.message, _MESSAGE_LENGTH),
                )
            )
            if len(found) == MOST:
                break
    except (ValueError, TypeError) as error:
        if isinstance(error, jsonschema_rs.ValidationError):
            raise
        found.append(Violation(pointer="", rule=NOT_JSON, message=_shortened(str(error), _MESSAGE_LENGTH)))
    return found


def pointer(path: list[str | int]) -> str:
    """A path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def rule_id(location: str | None) -> str:
    """The rule's id for a place in a contract: `common/v1/schema.json#/$defs/id` is `common/v1#/$defs/id`."""
    place = (location or "").removeprefix(BASE)
    place = place.replace("%7B", "{").replace("%7D", "}")
    return place.replace("/schema.json#", "#").replace("/openapi.json#", "#")


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


class ContractRoot(BaseModel):
    """The base of every root model: it accepts what the contract's schema accepts, and nothing else.

    Instances are frozen; a changed copy is judged again.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    __contract__: ClassVar[str] = ""
    """The contract's name and version, e.g. `mission-envelope/v1`."""

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """The document in the text. Raises `strict_json.JsonInvalid` or `pydantic.ValidationError`."""
        return cls.model_validate(strict_json.loads(text))

    def as_document(self) -> dict[str, Any]:
        """The model as a plain document; members that were not given are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with the changes, judged like any other document."""
        copied = super().model_copy(update=update, deep=deep)
        return copied if update is None else type(self).model_validate(copied.model_dump(by_alias=True, exclude_unset=True))

    @model_validator(mode="wrap")
    @classmethod
    def _judge(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, cls) or not cls.__contract__:
            return handler(data)
        if isinstance(data, Mapping):
            data = {key: value for key, value in data.items() if value is not MISSING}
        name, version = cls.__contract__.split("/")
        try:
            document = to_jsonable_python(data, by_alias=True)
        except ValueError as error:
            raise PydanticCustomError("not_json", "JSON cannot hold this value: {why}", {"why": str(error)}) from None
        broken = violations(name, document, version)
        if broken:
            said = "; ".join(f"{one.pointer or '(document)'}: {one.message} [{one.rule}]" for one in broken[:10])
            raise PydanticCustomError("contract", "{said}", {"said": said, "count": len(broken)})
        try:
            return handler(data)
        except ValidationError:
            # To JSON Schema 1e300 is an integer; pydantic reads it as one only when it comes as one.
            return handler(_whole(document))


def _whole(node: Any) -> Any:
    if isinstance(node, float) and node.is_integer():
        return int(node)
    if isinstance(node, list):
        return [_whole(item) for item in node]
    if isinstance(node, dict):
        return {key: _whole(value) for key, value in node.items()}
    return node
