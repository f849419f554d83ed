"""The words of a tool's command: fields in braces stand for what a mission says, doubled braces for themselves."""

import re
from collections.abc import Mapping

TOOL_FIELDS = ("objective", "mission_id", "mission_type", "attempt", "workspace", "artifacts")
SESSION_FIELD = "session_id"
"""What a tool's other command is told, once the agent's session is known."""
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def fields_in(word: str) -> list[str]:
    """The fields of a word, in order; a brace that is neither doubled nor part of a field is one too."""
    return [
        piece[0] if piece[1] is None else piece[1] for piece in _PIECE.finditer(word) if piece[0] not in ("{{", "}}")
    ]


def filled(word: str, values: Mapping[str, str]) -> str:
    """The word with its fields filled in; what is filled in is never read again. Raises `KeyError`."""
    return _PIECE.sub(lambda piece: piece[0][0] if piece[0] in ("{{", "}}") else values[piece[1]], word)
