"""Reading `lanes.yaml`: strictly, with the line of everything that is wrong."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from dragancorp.errors import DraganError, ErrorCode, Violation
from dragancorp.rules import violations

Lane = Mapping[str, Any]


class _PlainLoader(yaml.SafeLoader):
    """YAML as JSON would say it: no dates, no merges, no duplicate keys."""


# Without the timestamp resolver a time stays the text it is, as in every other document.
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
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
        node = yaml.compose(text, Loader=_PlainLoader)
        lines = _lines(node)
        document = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = Violation(pointer="", rule="YAML", message=error.problem or "not YAML", line=line)
        raise _invalid(path, [problem]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise _invalid(path, [Violation(pointer="", rule="YAML", message=str(error)[:4000], line=1)]) from error
    found = [replace(violation, line=_line_of(violation.pointer, lines)) for violation in lines.repeated]
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
    while waiting:
        pointer, node = waiting.pop()
        lines[pointer] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                place = f"{pointer}/{str(key.value).replace('~', '~0').replace('/', '~1')}"
                if place in lines:
                    lines.repeated.append(Violation(pointer=place, rule="YAML", message="this key stands twice"))
                lines[place] = key.start_mark.line + 1
                waiting.append((place, value))
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(f"{pointer}/{index}", value) for index, value in enumerate(node.value)]
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
