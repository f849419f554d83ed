"""The schemas of some sources as validators, to hold examples, data and defaults against them."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from dragancorp.codegen.sources import Sources

META = "https://json-schema.org/draft/2020-12/schema"


class Judge:
    """The same judge as that of the generated package, before there is one."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._validators: dict[str, Any] = {}

    @cached_property
    def _registry(self) -> Any:
        import jsonschema_rs

        known = [(spec.retrieved, spec.schema) for spec in self._sources.specs]  # it finds an `$id` by itself
        return jsonschema_rs.Registry(known, draft=jsonschema_rs.Draft202012)

    def errors(self, address: str, document: Any) -> Iterator[Any]:
        """The errors of a document by the schema at an address; each knows its path and its keyword's place."""
        import jsonschema_rs

        if address not in self._validators:
            self._validators[address] = jsonschema_rs.Draft202012Validator(
                {"$ref": address}, validate_formats=self._sources.house, registry=self._registry, offline=True
            )
        return iter(self._validators[address].iter_errors(document))


def meta_errors(schema: Any) -> Iterator[Any]:
    """What the meta-schema of draft 2020-12 says against a schema."""
    import jsonschema_rs

    return iter(jsonschema_rs.Draft202012Validator({"$ref": META}).iter_errors(schema))
