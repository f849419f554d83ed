"""What an overlay comes to: every value that holds, with its source."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dragancorp.jsonio import digest


class Source(StrEnum):
    """Where a value comes from."""

    BASE_DEFAULT = "base_default"
    OVERLAY = "overlay"
    CAP = "cap"
    MANDATORY_POLICY = "mandatory_policy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """One value that holds. `by` names the base profile, overlay, set of caps or policy that it comes from."""

    value: Any
    source: Source
    by: str

    def as_json(self) -> dict[str, Any]:
        """The value with its source, as a plain document."""
        return {"value": self.value, "source": self.source.value, "by": self.by}


Group = dict[str, Resolved]


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """Everything that holds. `agents` and `skills` have the whole catalogue, true for what is on.

    A limit or an observability value that nobody sets is not there; `prompts` has `{"mode", "prompt"}` by agent.
    """

    agents: Group = field(default_factory=dict)
    skills: Group = field(default_factory=dict)
    prompts: Group = field(default_factory=dict)
    limits: Group = field(default_factory=dict)
    observability: Group = field(default_factory=dict)

    def groups(self) -> dict[str, Group]:
        """The groups by name, in the order they are shown."""
        return {
            "agents": self.agents,
            "skills": self.skills,
            "prompts": self.prompts,
            "limits": self.limits,
            "observability": self.observability,
        }

    def explained(self) -> Iterator[tuple[str, Resolved]]:
        """Every value by its JSON pointer in `values()`, in order."""
        for name, group in self.groups().items():
            for member in sorted(group):
                yield f"/{name}/{member}", group[member]

    def values(self) -> dict[str, dict[str, Any]]:
        """What holds, without its sources."""
        return {name: {member: one.value for member, one in group.items()} for name, group in self.groups().items()}

    def on(self, kind: str) -> set[str]:
        """The names of the agents or skills that are on. `kind` is `agents` or `skills`."""
        return {name for name, one in self.groups()[kind].items() if one.value}

    def digest(self) -> str:
        """SHA-256 of the values: two clones with one digest behave alike."""
        return digest(self.values())

    def as_json(self) -> dict[str, Any]:
        """Every value with its source, and the digest of the values."""
        groups = {
            name: {member: one.as_json() for member, one in sorted(group.items())}
            for name, group in self.groups().items()
        }
        return {**groups, "digest": self.digest()}
