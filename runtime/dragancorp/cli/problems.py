"""How a command that fails says so: a problem on stderr and an exit code, never a traceback for what is expected.

The exit code tells who has to act: 1, the answer is no, and asking differently may help; 3, the environment is not
fit: a file, a folder, a port, a server; 4, a gate of a rollout holds.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from dragancorp.cli import output

REFUSED = 1
UNFIT = 3
GATE_HOLDS = 4

_UNFIT_CODES = frozenset(
    {
        "lanes_file_invalid",
        "tokens_file_invalid",
        "settings_invalid",
        "data_folder_unusable",
        "database_newer",
        "database_owned",
        "port_in_use",
        "server_unreachable",
        "storage_busy",
        "storage_failed",
        "workspace_busy",
        "workspace_unusable",
    }
)
_SHOW_ANOTHER = "Give another token with --token or UA_OPS_TOKEN."


class Refusal(Exception):  # noqa: N818 - it carries what is said, whatever went wrong
    """A failure of a command that no code of the catalogue stands for."""

    def __init__(self, title: str, detail: str, hint: str, *, exit_code: int) -> None:
        super().__init__(detail)
        self.problem = {"type": "about:blank", "title": title, "detail": detail, "hint": hint}
        self.exit_code = exit_code


@contextmanager
def reported(as_json: bool) -> Iterator[None]:
    """Turns what is expected to go wrong inside into a problem on stderr and an exit code."""
    try:
        yield
    except Exception as error:
        known = _problem_of(error)
        if known is None:
            raise
        problem, exit_code = known
        show(problem, as_json=as_json)
        raise typer.Exit(exit_code) from error


def show(problem: Mapping[str, Any], *, as_json: bool) -> None:
    """The problem on stderr: as one line of JSON, or as a few lines for people."""
    if as_json:
        output.note(json.dumps(problem))
        return
    code = problem.get("code")
    output.note(f"error: {output.plain(problem['title'])}" + (f" ({output.plain(code)})" if code else ""))
    if detail := problem.get("detail"):
        output.note(f"  {output.plain(detail)}")
    for violation in problem.get("violations", ()):
        line = f"line {violation['line']}, " if violation.get("line") is not None else ""
        place = violation.get("pointer") or "the whole document"
        said = output.plain(f"{place}: {violation['message']} [{violation['rule']}]")
        output.note(f"  - {line}{said}")
    if hint := problem.get("hint"):
        output.note(f"hint: {output.plain(hint)}")


def _problem_of(error: Exception) -> tuple[dict[str, Any], int] | None:
    """The problem and the exit code for an error that is expected; None for a defect."""
    if isinstance(error, Refusal):
        return error.problem, error.exit_code

    from dragancorp.errors import DraganError, ErrorCode
    from dragancorp_contracts.client import AnswerUnreadable, ProblemError, ServerUnreachable

    if isinstance(error, DraganError):
        return error.problem(), _exit_code(error.code.value)
    if isinstance(error, ServerUnreachable):
        return DraganError(ErrorCode.SERVER_UNREACHABLE, str(error)).problem(), UNFIT
    if isinstance(error, AnswerUnreadable) or (isinstance(error, ProblemError) and not error.code):
        detail = f"what answers there does not speak this contract: {error}"
        return DraganError(ErrorCode.SERVER_UNREACHABLE, detail).problem(), UNFIT
    if isinstance(error, ProblemError):
        return _answered(error), GATE_HOLDS if error.code == "gate_held" else REFUSED
    return None


def _exit_code(code: str) -> int:
    if code == "gate_held":
        return GATE_HOLDS
    return UNFIT if code in _UNFIT_CODES else REFUSED


def _answered(error: Any) -> dict[str, Any]:
    """The problem as the server told it, with where to put another token when that is what it wants."""
    problem: dict[str, Any] = {
        "type": f"https://dragancorp.dev/errors/{error.code}",
        "title": error.title,
        "status": error.status,
        "code": str(error.code),
        "detail": error.detail,
        "hint": error.hint,
        "retryable": error.retryable,
    }
    if error.status in (401, 403):
        problem["hint"] = f"{error.hint} {_SHOW_ANOTHER}".strip()
    if error.violations:
        problem["violations"] = [violation.as_json() for violation in error.violations]
    if error.facts:
        problem["facts"] = error.facts
    if error.trace_id is not None:
        problem["trace_id"] = error.trace_id
    return problem
