"""Reading `lanes.yaml`: strictly, with the line of everything that is wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dragancorp import document_file
from dragancorp.errors import DraganError, ErrorCode, Violation
from dragancorp.rules import violations

Lane = Mapping[str, Any]


def read_lanes(path: Path) -> tuple[Lane, ...]:
    """The lanes of a file, each with the shape of `specs/lane`; relative repositories are made absolute.

    Raises `lanes_file_invalid` with every violation and its line.
    """
    try:
        file = document_file.read_yaml(path)
    except OSError as error:
        raise DraganError(ErrorCode.LANES_FILE_INVALID, f"{path}: {error}") from error
    except document_file.DocumentUnreadable as error:
        raise _invalid(path, list(error.violations)) from error
    found = [file.located(violation) for violation in violations("lanes-file", file.document)]
    if found:
        raise _invalid(path, found)
    return tuple(_absolute(lane, path.absolute().parent) for lane in file.document["lanes"])


def _invalid(path: Path, found: list[Violation]) -> DraganError:
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    place = f" at {first.pointer}" if first.pointer else ""
    return DraganError(
        ErrorCode.LANES_FILE_INVALID,
        f"{path}, line {first.line}{place}: {first.message} [{first.rule}]{more}",
        violations=found,
    )


def _absolute(lane: Lane, folder: Path) -> Lane:
    """The lane with its paths, which are written as seen from the file."""
    workspace, executor = lane.get("workspace", {}), lane["executor"]
    if "repository" in workspace:
        lane = {**lane, "workspace": {**workspace, "repository": str(folder / workspace["repository"])}}
    beside = {
        member: [str(folder / executor[member][0]), *executor[member][1:]]
        for member in ("command", "resume_command")
        if "/" in executor.get(member, [""])[0]
    }
    return {**lane, "executor": {**executor, **beside}} if beside else lane
