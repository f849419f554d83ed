"""What has changed, one entry a place and rule."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from dragancorp.specdiff.rules import Audience, Reader, Rule, rule
from dragancorp.specdiff.snapshot import contract_of

__all__ = ["Change", "changed", "merged"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change, by the rule that classifies it."""

    rule: Rule
    place: str
    """Where it stands, e.g. `mission-envelope/v1#/properties/objective/maxLength`."""
    contract: str
    """The folder that holds the place, e.g. `mission-envelope/v1`."""
    what: str
    """What has happened, with the values: `2000 became 1000`."""
    breaks: frozenset[Audience]
    """Whom it breaks; empty: it is safe."""
    certain: bool = True
    """Whether the rule could decide; where it could not, the stricter class stands."""
    waived: str = ""
    """The reason it was allowed all the same; empty: it was not."""

    @property
    def safe(self) -> bool:
        """Whether nobody has to change."""
        return not self.breaks

    def as_json(self) -> dict[str, Any]:
        """The change as the command prints it."""
        body: dict[str, Any] = {
            "rule": self.rule.id,
            "class": "safe" if self.safe else "breaking",
            "breaks": sorted(self.breaks),
            "contract": self.contract,
            "place": self.place,
            "title": self.rule.title,
            "what": self.what,
            "certain": self.certain,
        }
        if self.waived:
            body["waived"] = self.waived
        return body


def changed(
    name: str,
    place: object,
    what: str,
    *,
    reader: Reader = Reader.STRICT,
    also: Iterable[Audience] = (),
    certain: bool = True,
) -> Change:
    """A change by the name of its rule, classified for that reader; `also` names audiences it breaks besides."""
    found = rule(name)
    text = str(place)
    file = text.partition("#")[0]
    return Change(
        rule=found,
        place=text,
        contract=contract_of(file) if file.endswith(".json") else file,
        what=what,
        breaks=found.breaks(reader) | frozenset(also),
        certain=certain,
    )


def merged(changes: Iterable[Change]) -> list[Change]:
    """The changes by place, each once: what several contracts read breaks whoever any of them breaks."""
    kept: dict[tuple[str, str, str], Change] = {}
    for one in changes:
        key = (one.place, one.rule.id, one.what)
        known = kept.get(key)
        kept[key] = (
            one
            if known is None
            else replace(known, breaks=known.breaks | one.breaks, certain=known.certain and one.certain)
        )
    return sorted(kept.values(), key=lambda one: (one.contract, one.safe, one.place, one.rule.id))
