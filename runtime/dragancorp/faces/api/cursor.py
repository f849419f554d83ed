"""Page cursors: opaque to callers, a position to us."""

import base64
import binascii

from dragancorp.errors import DraganError, ErrorCode, Violation

PREFIX = "p1:"


def encode(position: int) -> str:
    """The cursor after this position."""
    return base64.urlsafe_b64encode(f"{PREFIX}{position}".encode()).decode().rstrip("=")


def decode(cursor: str) -> int:
    """The position in a cursor. Raises `parameter_invalid`."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        digits = text.removeprefix(PREFIX)
        if not text.startswith(PREFIX) or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            raise ValueError("not a cursor of ours")
        return int(digits)
    except (ValueError, binascii.Error) as error:
        violation = Violation(
            pointer="/query/cursor",
            rule="ops-api/v1#list_missions/cursor",
            message="not a cursor that an earlier page gave",
        )
        raise DraganError(ErrorCode.PARAMETER_INVALID, "not valid: /query/cursor", violations=[violation]) from error
