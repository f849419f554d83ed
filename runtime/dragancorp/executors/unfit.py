"""Why a mission would never run on a lane: said before anything is stored, and again before anything starts."""

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dragancorp.errors import ErrorCode
from dragancorp_contracts.lifecycle import ReasonCode


@dataclass(frozen=True, kw_only=True)
class Unfit:
    """One reason: the place in the envelope, a sentence, and how a refused dispatch or a failed mission names it."""

    pointer: str
    sentence: str
    error: ErrorCode
    reason: ReasonCode
    rule: str | None = None  # the rule of the extension's contract; None: the executor's own

    @property
    def text(self) -> str:
        """The sentence, with the rule when there is one."""
        return self.sentence if self.rule is None else f"{self.sentence} ({self.rule})"


def unknown_extensions(envelope: Mapping[str, Any], known: Collection[str]) -> Iterator[Unfit]:
    """A reason for every extension that the mission requires and the executor does not know."""
    for index, extension in enumerate(envelope.get("extensions") or ()):
        if extension["required"] and extension["uri"] not in known:
            yield Unfit(
                pointer=f"/extensions/{index}",
                sentence=(
                    f"the lane does not know the required extension {extension['uri']}; "
                    f"it knows {', '.join(sorted(known)) or 'none'}"
                ),
                error=ErrorCode.EXTENSION_UNSUPPORTED,
                reason=ReasonCode.EXTENSION_UNSUPPORTED,
            )


async def refused(reasons: Sequence[Unfit]) -> AsyncGenerator[dict[str, Any], None]:
    """The one event of a run that does not begin."""
    yield {
        "type": "failed",
        "reason_code": reasons[0].reason.value,
        "message": "; ".join(f"{reason.pointer}: {reason.text}" for reason in reasons)[:60000],
        "result": {"refused": [{"pointer": reason.pointer, "message": reason.text} for reason in reasons[:1000]]},
    }
