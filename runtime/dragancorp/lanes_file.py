"""Reading `lanes.yaml`: strictly, with the line of everything that is wrong."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError

from dragancorp.errors import DraganError, ErrorCode, Violation
from dragancorp.rules import violations

Lane = Mapping[str, Any]


DEEPEST = 64  # levels, as in strict JSON


class _PlainLoader(yaml.SafeLoader):
    """YAML as JSON would say it: no dates, merges, tags or infinities, no key but text, and nothing said by reference.

    An alias repeats what it stands for wherever it stands: a few lines of them are a document of any size.
    """

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node. Raises `ComposerError` with its place for what JSON could not say."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
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


def read_lanes(path: Path) -> tuple[Lane, ...]:
    """The lanes of a file, each with the shape of `specs/lane`; relative repositories are made absolute.

    Raises `lanes_file_invalid` with every violation and its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DraganError(ErrorCode.LANES_FILE_INVALID, f"{path}: {error}") from error
    try:
        loader = _PlainLoader(text)
        node = loader.get_single_node()
        lines = _lines(node)
        document: Any = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = Violation(pointer="", rule="YAML", message=error.problem or "not YAML", line=line)
        raise _invalid(path, [problem]) from error
    except (yaml.YAMLError, ValueError) as error:  # characters that YAML has not, digits that make no number
        raise _invalid(path, [Violation(pointer="", rule="YAML", message=str(error)[:4000], line=1)]) from error
    found = [*lines.repeated]
    found += [
        replace(violation, line=_line_of(violation.pointer, lines)) for violation in violations("lanes-file", document)
    ]
    if found:
        raise _invalid(path, found)
    return tuple(_absolute(lane, path.absolute().parent) for lane in document["lanes"])


def _invalid(path: Path, found: list[Violation]) -> DraganError:
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    place = f" at {first.pointer}" if first.pointer else ""
    return DraganError(
        ErrorCode.LANES_FILE_INVALID,
        f"{path}, line {first.line}{place}: {first.message} [{first.rule}]{more}",
        violations=found,
    )


class _Lines(dict[str, int]):
    """JSON pointer -> line, from 1; and the keys that stand twice."""

    def __init__(self) -> None:
        super().__init__()
        self.repeated: list[Violation] = []


def _lines(root: yaml.Node | None) -> _Lines:
    lines = _Lines()
    waiting = [("", root)] if root is not None else []
    if root is not None:
        lines[""] = root.start_mark.line + 1
    while waiting:
        pointer, node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                place = f"{pointer}/{str(key.value).replace('~', '~0').replace('/', '~1')}"
                line = key.start_mark.line + 1
                if place in lines:
                    twice = Violation(pointer=place, rule="YAML", message="this key stands twice", line=line)
                    lines.repeated.append(twice)
                lines[place] = line
                waiting.append((place, value))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                lines[f"{pointer}/{index}"] = value.start_mark.line + 1
                waiting.append((f"{pointer}/{index}", value))
    return lines


def _line_of(pointer: str, lines: _Lines) -> int:
    """The line of a place, or of the nearest place around it: what is missing has no line of its own."""
    while pointer not in lines and pointer:
        pointer = pointer.rpartition("/")[0]
    return lines.get(pointer, 1)


def _absolute(lane: Lane, folder: Path) -> Lane:
    workspace = lane.get("workspace", {})
    if "repository" not in workspace:
        return lane
    return {**lane, "workspace": {**workspace, "repository": str(folder / workspace["repository"])}}
