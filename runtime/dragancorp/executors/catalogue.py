"""Which executors there are."""

from collections.abc import Mapping
from typing import Any

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.automation import AutomationExecutor
from dragancorp.executors.callable import CallableExecutor
from dragancorp.executors.process import ProcessExecutor, ToolExecutor
from dragancorp.executors.protocol import Executor


def make_executor(config: Mapping[str, Any]) -> Executor:
    """The executor for the `executor` object of a lane's configuration.

    Raises `DraganError(lanes_file_invalid)` for a type there is not or a configuration it cannot work with.
    """
    match config.get("type"):
        case "automation":
            try:
                return AutomationExecutor(config)
            except ValueError as error:
                raise DraganError(ErrorCode.LANES_FILE_INVALID, f"executor.allow: {error}") from error
        case "process":
            return ProcessExecutor(config)
        case "tool":
            return ToolExecutor(config)
        case "callable":
            return CallableExecutor(config)
        case unknown:
            raise DraganError(ErrorCode.LANES_FILE_INVALID, f"there is no executor of type {unknown!r}")
