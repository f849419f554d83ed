"""The log of a process that serves: on stderr, lines for people at a terminal, JSON lines for collectors."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from dragancorp.cli.output import plain


def configure() -> None:
    """Set up the log of this process; records of libraries come the same way, from warnings upwards."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    if sys.stderr.isatty():
        shared += [structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False), _harmless]
        ending: list[structlog.typing.Processor] = [
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        ]
    else:
        shared += [structlog.processors.TimeStamper(fmt="iso", utc=True)]
        ending = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("dragancorp").setLevel(logging.INFO)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _harmless(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Text in a log may come from a lane; at a terminal it must not act."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = plain(value)
    return event
