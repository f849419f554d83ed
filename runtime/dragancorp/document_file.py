"""Reading a document from a YAML or JSON file: strictly, with the line of every place.

Both say only what JSON can say, so that a document means the same in either form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError

from dragancorp import jsonio
from dragancorp.errors import Violation

DEEPEST = 64  # levels, as in strict JSON
YAML_SUFFIXES = frozenset({".yaml", ".yml"})
MESSAGE_LENGTH = 4000


class DocumentUnreadable(ValueError):  # noqa: N818 - the name says what is wrong
    """The file holds no document; `violations` says where and why, with rule `YAML` or `JSON`."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__(violations[0].message)
        self.violations = tuple(violations)


@dataclass(frozen=True, kw_only=True)
class DocumentFile:
    """A document and where its places stand in the file."""

    path: Path
    document: Any
    lines: Mapping[str, int] = field(default_factory=dict)
    """JSON pointer -> line, from 1; empty for JSON."""

    def line_of(self, pointer: str) -> int | None:
        """The line of a place, or of the nearest place around it: what is missing has no line of its own."""
        if not self.lines:
            return None
        while pointer not in self.lines and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, 1)

    def located(self, violation: Violation) -> Violation:
        """The violation with its line."""
        return replace(violation, line=self.line_of(violation.pointer))


def read(path: Path) -> DocumentFile:
    """The document of a file: YAML by the suffix `.yaml` or `.yml`, otherwise JSON.

    Raises `DocumentUnreadable`; `OSError` when the file cannot be read.
    """
    content = path.read_bytes()
    if path.suffix.lower() in YAML_SUFFIXES:
        return _yaml(path, content)
    try:
        return DocumentFile(path=path, document=jsonio.loads(content))
    except jsonio.JsonInvalid as error:
        violation = Violation(pointer="", rule="JSON", message=error.detail, line=_line_at(content, error))
        raise DocumentUnreadable([violation]) from error


def _line_at(content: bytes, error: jsonio.JsonInvalid) -> int | None:
    """The line of the error, where its offset is known; it counts characters, or bytes where there are none."""
    if error.offset is None:
        return None
    if error.reason == "not_utf8":
        return content.count(b"\n", 0, error.offset) + 1
    return content.decode("utf-8").count("\n", 0, error.offset) + 1


def read_yaml(path: Path) -> DocumentFile:
    """The same for a file that is YAML whatever its name."""
    return _yaml(path, path.read_bytes())


def _yaml(path: Path, content: bytes) -> DocumentFile:
    try:
        loader = _PlainLoader(content.decode("utf-8"))
        node = loader.get_single_node()
        lines, repeated = _lines(node)
        document: Any = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = Violation(pointer="", rule="YAML", message=error.problem or "not YAML", line=line)
        raise DocumentUnreadable([problem]) from error
    except (yaml.YAMLError, ValueError) as error:  # characters that YAML has not, digits that make no number
        problem = Violation(pointer="", rule="YAML", message=str(error)[:MESSAGE_LENGTH], line=1)
        raise DocumentUnreadable([problem]) from error
    if repeated:
        raise DocumentUnreadable(repeated)
    return DocumentFile(path=path, document=document, lines=lines)


class _PlainLoader(yaml.SafeLoader):
    """YAML as JSON would say it: no dates, merges, tags or infinities, no key but text, and nothing said by reference.

    An alias repeats what it stands for wherever it stands: a few lines of them are a document of any size.
    """

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node. Raises `ComposerError` with its place for what JSON could not say."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused("anchors and aliases are not taken: write it out", event)
        if event.tag is not None:
            raise _refused(f"tags are not taken: {event.tag}", event)
        self._depth += 1
        if self._depth > DEEPEST:
            raise _refused(f"nested deeper than {DEEPEST} levels", event)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode):
            _refuse_unspeakable(node, event)
        elif isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                if key.tag != "tag:yaml.org,2002:str":
                    raise _refused("a key must be text: put it in quotes", key)
        return node


def _refuse_unspeakable(node: yaml.ScalarNode, event: yaml.Event) -> None:
    if node.tag == "tag:yaml.org,2002:float" and node.value.lower().lstrip("+-") in (".inf", ".nan"):
        raise _refused(f"{node.value} is not a number of JSON", event)
    if any("\ud800" <= character <= "\udfff" for character in node.value):
        raise _refused("half of a surrogate pair is not text", event)


def _refused(problem: str, place: Any) -> ComposerError:
    return ComposerError(None, None, problem, place.start_mark)


# Without these resolvers a time stays the text it is, as in every other document, and `<<` is a key like any other.
_PlainLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _lines(root: yaml.Node | None) -> tuple[dict[str, int], list[Violation]]:
    """The line of every place, and the keys that stand twice."""
    lines = {"": 1 if root is None else root.start_mark.line + 1}
    repeated: list[Violation] = []
    waiting = [("", root)] if root is not None else []
    while waiting:
        pointer, node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                place = f"{pointer}/{str(key.value).replace('~', '~0').replace('/', '~1')}"
                line = key.start_mark.line + 1
                if place in lines:
                    repeated.append(Violation(pointer=place, rule="YAML", message="this key stands twice", line=line))
                lines[place] = line
                waiting.append((place, value))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                lines[f"{pointer}/{index}"] = value.start_mark.line + 1
                waiting.append((f"{pointer}/{index}", value))
    return lines, repeated
