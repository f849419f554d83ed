"""The rollout policy (`specs/rollout-policy`): the one that holds where none is given, or a file's."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dragancorp import document_file
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.jsonio import digest
from dragancorp.rules import checked
from dragancorp_contracts import resources
from dragancorp_contracts.models.rollout_policy_v1 import Stage

CONTRACT = "rollout-policy"


class RolloutPolicy:
    """A policy document that keeps every rule, and its digest."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Raises `document_invalid`, naming each broken rule."""
        self.document: Mapping[str, Any] = checked(CONTRACT, document)
        self.digest = digest(self.document)

    @classmethod
    def read(cls, path: Path | None) -> "RolloutPolicy":
        """The policy of a JSON or YAML file; without one the standard policy.

        Raises `settings_invalid` for a file that cannot be read, `document_invalid` for one that breaks a rule.
        """
        if path is None:
            return standard_policy()
        try:
            return cls(document_file.read(path).document)
        except (OSError, document_file.DocumentUnreadable) as error:
            raise DraganError(ErrorCode.SETTINGS_INVALID, f"UA_ROLLOUT_POLICY_FILE: {error}") from error

    def edge(self, stage: Stage) -> Mapping[str, Any] | None:
        """The promotion that leads out of a stage; None where there is none."""
        return next((edge for edge in self.document["edges"] if edge["from"] == stage.value), None)

    def edge_to(self, stage: Stage) -> Mapping[str, Any] | None:
        """The promotion that led into a stage; None where there is none."""
        return next((edge for edge in self.document["edges"] if edge["to"] == stage.value), None)

    def cadence_seconds(self, stage: Stage) -> int:
        """How often evidence is captured in a stage."""
        edge = self.edge(stage) or self.document["sustained"]
        return int(edge["cadence_seconds"])

    def counts(self, stage: Stage) -> frozenset[str]:
        """Which traffic counts in a stage: above shadow only real traffic ever does."""
        edge = self.edge(stage)
        if stage in (Stage.off, Stage.shadow):
            return frozenset(("real", "synthetic") if edge is None else edge["traffic"])
        return frozenset({"real"})

    @property
    def resume_stage(self) -> Stage:
        """Where a lifted fallback leads."""
        return Stage(self.document["resume_stage"])

    @property
    def promotes_itself(self) -> bool:
        """Whether a promotion that the gates allow is made without anybody asking."""
        return bool(self.document.get("auto_promote", False))


@cache
def standard_policy() -> RolloutPolicy:
    """The policy that stands beside the contract."""
    return RolloutPolicy(resources.read_document(CONTRACT, file="rollout-policy.json"))
