"""What an overlay comes to, or everything that is wrong with it."""

from collections.abc import Mapping
from typing import Any

from dragancorp.errors import DraganError, ErrorCode, Violation
from dragancorp.overlays.findings import findings
from dragancorp.overlays.layers import resolved
from dragancorp.overlays.resolution import Resolution


def resolve(base: Mapping[str, Any], overlay: Mapping[str, Any], caps: Mapping[str, Any]) -> Resolution:
    """What holds when the overlay is laid over the base profile, inside the caps.

    Raises `DraganError` (`document_invalid`) with every finding as a violation.
    """
    found = findings(base, overlay, caps)
    if found:
        raise DraganError(
            ErrorCode.DOCUMENT_INVALID,
            f"the overlay does not fit: {found[0].message} [{found[0].rule}]",
            violations=[
                Violation(pointer=one.pointer, rule=one.rule, message=f"{one.document}: {one.message}; {one.fix}")
                for one in found
            ],
        )
    return resolved(base, overlay, caps)
