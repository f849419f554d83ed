"""Models by datamodel-code-generator: the typed view of every contract, with the judge as the base of each root.

The generator wants a flat folder, one file a module, and reads a part of JSON Schema right; so what it gets is the view
of each schema, staged, with `../../common/v1/schema.json#/$defs/id` written as `common_v1.json#/$defs/Id`.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dragancorp.codegen.formatting import run
from dragancorp.codegen.naming import is_kept, spelled_out
from dragancorp.codegen.references import References
from dragancorp.codegen.sources import Sources, Spec
from dragancorp.codegen.templating import BANNER
from dragancorp.codegen.view import Views

OPTIONS = (
    "--ignore-pyproject",
    "--disable-warnings",  # it says which constraints it cannot express; the judge holds them all
    "--preset=standard-py311-20261027",
    "--target-pydantic-version=2.14",
    "--output-model-type=pydantic_v2.BaseModel",
    "--input-file-type=jsonschema",
    "--schema-version=2020-12",
    "--strict-refs",
    "--no-allow-remote-refs",
    *("--strict-types", "str", "bool"),
    "--collapse-root-models",
    "--use-missing-sentinel",
    "--strict-nullable",
    "--enable-faux-immutability",
    # A time stays the text it came as: no leap second refused, no offset rewritten, no digest broken.
    *("--type-mappings", "string+uri=string", "string+date-time=string"),
    "--use-schema-description",
    "--use-field-description",
    "--disable-timestamp",
    "--formatters=builtin",
    f"--custom-file-header={BANNER.strip()}",
)

_TAKEN = ("as_document", "from_json", "model_copy")
"""What every root model has already."""
_FUTURE = "from __future__ import annotations\n"
_IMPORTS = "from typing import ClassVar\nfrom ..judge import {base}\n"


def emitted(sources: Sources) -> dict[str, str]:
    """The modules by path, below `models/`."""
    result = {"models/__init__.py": BANNER + '"""The typed view of every contract: one module each."""\n'}
    views = Views(sources, References(sources))
    with tempfile.TemporaryDirectory(prefix="codegen-") as scratch:
        staged, made = Path(scratch) / "staged", Path(scratch) / "made"
        staged.mkdir()
        aliases = {name: f"{name}_" for name in _TAKEN}
        for spec in sources.specs:
            view = views.staged(spec)
            aliases |= {name: spelled_out(name) for name in _members(view) if not is_kept(name)}
            (staged / f"{spec.module}.json").write_text(json.dumps(view), encoding="utf-8")
        _run(staged, made, aliases)
        for spec in sources.specs:
            source = (made / f"{spec.module}.py").read_text(encoding="utf-8")
            result[f"models/{spec.module}.py"] = _judged(source, spec, value=views.is_value(spec))
    return result


def _members(view: Any) -> Iterator[str]:
    if isinstance(view, dict):
        listed = view.get("properties")
        if isinstance(listed, dict):
            yield from listed
        for inner in view.values():
            yield from _members(inner)
    elif isinstance(view, list):
        for inner in view:
            yield from _members(inner)


def _run(staged: Path, made: Path, aliases: dict[str, str]) -> None:
    # In a process of its own, so that no pyproject.toml nearby and no state of ours changes what it makes.
    command = [sys.executable, "-m", "datamodel_code_generator", "--input", str(staged), "--output", str(made)]
    run([*command, *OPTIONS, "--aliases", json.dumps(aliases)])


def _judged(source: str, spec: Spec, *, value: bool) -> str:
    """The module with its root class asking the judge first; a root that is no object holds its value in `root`."""
    heading = f"class {spec.title}(BaseModel):\n"
    if source.count(heading) != 1:
        raise ValueError(f"{spec.path}: the root must become one class {spec.title}; write the title in PascalCase")
    before, after = source.split(heading)
    # The class starts with its docstring (the root's description) and `model_config`; the contract stands between.
    docstring, rest = after.split("    model_config = ConfigDict(", 1)
    options, fields = rest.split("    )\n", 1)
    if value:
        options = re.sub(r" *extra=.*\n", "", options)
    base = "ContractValue" if value else "ContractRoot"
    contract = f'    __contract__: ClassVar[str] = "{spec.contract}"\n'
    body = f"{docstring}{contract}    model_config = ConfigDict({options}    )\n{fields}"
    source = f"{before}class {spec.title}({base}):\n{body}"
    # By name as well as by alias would accept members that the schema does not know.
    source = source.replace("        validate_by_name=True,\n", "")
    return source.replace(_FUTURE, _FUTURE + _IMPORTS.format(base=base), 1)
