"""Settings from the environment, all with the prefix `UA_`; a lane's flags are built from its `flag`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dragancorp.errors import DraganError, ErrorCode

MIN_LEASE_TTL_FROM_ENVIRONMENT = 30.0  # seconds; a lanes file may go down to one
MIN_RETENTION_DAYS = 30
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})


class Settings(BaseSettings):
    """What a process is told by its environment."""

    model_config = SettingsConfigDict(env_prefix="UA_", extra="ignore", frozen=True)

    runtime_db_url: str | None = None
    """Where the registry lives: `sqlite:///path` or `postgresql://...`. Left out: `state.db` in the data folder."""

    ops_token: SecretStr | None = None
    """The operator's token: all scopes but lanes:run."""

    internal_api_token: SecretStr | None = None
    """What workers of every lane show: lanes:run alone."""

    tokens_file: Path | None = None
    """A file of scoped tokens (`specs/tokens`)."""

    @field_validator(
        "ops_token", "internal_api_token", "tokens_file", "rollout_policy_file", "runtime_db_url", mode="before"
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        """An empty variable is how many tools say "not set"; it must not become a token that lets anybody in."""
        return None if value == "" else value

    @field_validator("internal_api_token")
    @classmethod
    def _workers_are_no_operators(cls, value: SecretStr | None, found: ValidationInfo) -> SecretStr | None:
        """One text would be one token, with the scopes of one of the two."""
        if value is not None and value == found.data.get("ops_token"):
            raise ValueError("it is the operator's token too; a worker has one of its own")
        return value

    instance_id: str = Field(default="local", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    """The name of this control plane."""

    rollout_policy_file: Path | None = None
    """A rollout policy (`specs/rollout-policy`), JSON or YAML. Left out: the standard policy."""

    retention_days: int = Field(default=30, ge=0, le=36500)
    """Missions that ended longer ago go to an archive and out of the database; 0: none does by itself."""

    @field_validator("retention_days")
    @classmethod
    def _keys_are_kept(cls, days: int) -> int:
        """A caller may repeat a request for 30 days and must find what the first one made."""
        if 0 < days < MIN_RETENTION_DAYS:
            raise ValueError(f"at least {MIN_RETENTION_DAYS} days, or 0 for never")
        return days

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment. Raises `settings_invalid`, naming the variable."""
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = "UA_" + "_".join(str(part) for part in first["loc"]).upper()
            raise DraganError(ErrorCode.SETTINGS_INVALID, f"{name}: {first['msg']}") from error


@dataclass(frozen=True, kw_only=True)
class LaneFlags:
    """A lane's environment flags: a ceiling over everything that is stored."""

    enabled: bool = False
    disabled: bool = False
    shadow_mode: bool = False
    force_fallback: bool = False
    workspace_dir: Path | None = None
    lease_ttl_seconds: float | None = None

    @classmethod
    def read(cls, flag: str | None, environment: Mapping[str, str] | None = None) -> "LaneFlags":
        """The flags of the lane whose `flag` is given, e.g. `CODER_VP`; a lane without one is enabled.

        Raises `settings_invalid`, naming the variable.
        """
        if flag is None:
            return cls(enabled=True)
        surroundings = os.environ if environment is None else environment
        directory = surroundings.get(f"UA_{flag}_WORKSPACE_DIR")
        return cls(
            enabled=_switch(surroundings, f"UA_ENABLE_{flag}"),
            disabled=_switch(surroundings, f"UA_DISABLE_{flag}"),
            shadow_mode=_switch(surroundings, f"UA_{flag}_SHADOW_MODE"),
            force_fallback=_switch(surroundings, f"UA_{flag}_FORCE_FALLBACK"),
            workspace_dir=Path(directory) if directory else None,
            lease_ttl_seconds=_lease_ttl(surroundings, f"UA_{flag}_LEASE_TTL_SECONDS"),
        )

    @property
    def on(self) -> bool:
        """Whether the feature is on at all."""
        return self.enabled and not self.disabled and not self.force_fallback


def _switch(surroundings: Mapping[str, str], name: str) -> bool:
    value = surroundings.get(name, "").strip().lower()
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise DraganError(ErrorCode.SETTINGS_INVALID, f"{name} is {value!r}; it takes 1 or 0")


def _lease_ttl(surroundings: Mapping[str, str], name: str) -> float | None:
    text = surroundings.get(name, "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not MIN_LEASE_TTL_FROM_ENVIRONMENT <= seconds <= 86400:
        raise DraganError(
            ErrorCode.SETTINGS_INVALID,
            f"{name} is {text!r}; it takes seconds from {MIN_LEASE_TTL_FROM_ENVIRONMENT:.0f} to 86400",
        )
    return seconds
