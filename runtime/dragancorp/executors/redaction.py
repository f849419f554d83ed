"""Secrets that programs print: taken out of what they print before anybody reads, stores or shows it.

What is known to be secret is the value of every variable that the lane passes on and whose name says that it holds
one; beside those, texts of the shapes that well-known services give their keys. Files that a program writes, and the
patch of what it changed, are not looked into: they are the mission's, and stay as they are. A line over the guard's
limit comes in pieces; a secret that is cut by their border is not found.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from dragancorp.executors.protocol import ProcessOutput

SECRET_NAME = re.compile(r"(?i)(key|token|secret|passw|credential|auth)")
SHORTEST = 8  # characters; a shorter value would take common words out of every line
SHAPES = re.compile(
    r"sk-[A-Za-z0-9_-]{20,}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|github_pat_[A-Za-z0-9_]{30,}"
    r"|glpat-[A-Za-z0-9_-]{20,}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|AKIA[0-9A-Z]{16}"
    r"|AIza[0-9A-Za-z_-]{35}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
)
REDACTED = "[redacted]"


class Redaction:
    """Takes out the secrets of one environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = {value for name, value in environment.items() if SECRET_NAME.search(name) and len(value) >= SHORTEST}
        # The longest first: one secret may be the beginning of another.
        known = "|".join(re.escape(value) for value in sorted(values, key=len, reverse=True))
        self._known = re.compile(known) if known else None

    def __call__(self, text: str) -> str:
        """The text without them."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        return SHAPES.sub(REDACTED, text)

    def output(self, output: ProcessOutput) -> ProcessOutput:
        """One piece of output without them."""
        return replace(output, text=self(output.text))
