"""Names in Python for what JSON names: modules, classes, members."""

import builtins
import keyword
import re
import unicodedata

TAKEN = {
    "Annotated", "Any", "BaseModel", "ClassVar", "ConfigDict", "ContractRoot", "ContractValue", "Decimal", "Dict",
    "Enum", "Field", "IntEnum", "List", "Literal", "MISSING", "None_", "Optional", "RootModel", "Sequence", "Set",
    "StrEnum", "StrictBool", "StrictInt", "StrictStr", "Tuple", "Type", "TypeAlias", "TypeAliasType", "Union",
} | set(dir(builtins))  # fmt: skip
"""What a generated module imports or might import; no class of a schema may be called so."""


def words(text: str) -> list[str]:
    """The ASCII words of a text: `unit-price` is `unit`, `price`; a letter with an accent is that letter."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", plain)


def class_name(*candidates: str) -> str:
    """The first of the texts that makes a class name, in PascalCase; `Document` when none does."""
    for text in candidates:
        name = text if re.fullmatch(r"[A-Z][A-Za-z0-9]*", text) else "".join(w[:1].upper() + w[1:] for w in words(text))
        if name and not name[0].isdigit():
            return f"{name}Document" if name in TAKEN else name
    return "Document"


def module_name(text: str) -> str:
    """A module name: lower-case words with underscores between."""
    name = "_".join(word.lower() for word in words(text)) or "document"
    return f"schema_{name}" if name[0].isdigit() or keyword.iskeyword(name) or name == "__init__" else name


def is_kept(name: str) -> bool:
    """Whether a member keeps its name in Python, which takes the ligature ﬁ and the letters fi for one name."""
    return unicodedata.normalize("NFKC", name) == name


def spelled_out(name: str) -> str:
    """A name for a member that cannot keep its own: its words, and its letters by number so that no two are one."""
    return "_".join([module_name(name), *(f"{ord(letter):x}" for letter in name if not letter.isascii())])


def unique(name: str, taken: set[str], glue: str = "_") -> str:
    """The name, or with the first number that makes it new; it is taken then."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}{glue}{number}"
    taken.add(found)
    return found
