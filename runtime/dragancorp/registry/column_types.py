"""Column types that keep what they were given: aware times in UTC, JSON documents, enumerations by value.

All of them are texts that compare byte by byte, on every database: a PostgreSQL whose locale sorts otherwise must not
give another order, and its partial indexes must serve the same comparisons.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Integer, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import AutoString

from dragancorp.jsonio import canonical
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp_contracts.lifecycle import EventType, Holder, MissionKind, MissionState, ReasonCode, SessionState
from dragancorp_contracts.models.rollout_evidence_v1 import Override
from dragancorp_contracts.models.rollout_policy_v1 import Stage

BYTE_ORDERED = postgresql.TEXT(collation="C")
PLAIN_TEXT = AutoString().with_variant(BYTE_ORDERED, "postgresql")
WHOLE_NUMBER = Integer().with_variant(BigInteger(), "postgresql")
"""64 bits everywhere: SQLite's integers have them, PostgreSQL's INTEGER ends at two thousand dollars in micro-USD."""


class _Kept:
    """A text of ours, whatever it means above."""

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # As it is: the dialect's own descriptor would make a VARCHAR of it.
        return BYTE_ORDERED if dialect.name == "postgresql" else dialect.type_descriptor(Text())


class UtcTime(_Kept, TypeDecorator[datetime]):
    """An aware moment, kept as RFC 3339 text in UTC with microseconds, so that texts compare as times do."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without an offset is never stored")
        return utc_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class JsonDocument(_Kept, TypeDecorator[Mapping[str, Any]]):
    """A JSON object, kept as its canonical text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Mapping[str, Any] | None:
        # Written by us, as strict JSON: nothing has to be judged again.
        return None if value is None else json.loads(value)


class Word(_Kept, TypeDecorator[StrEnum]):
    """A member of a generated enumeration, kept as its value. Subclasses name the enumeration."""

    impl = Text
    cache_ok = True
    enumeration: type[StrEnum]

    def process_bind_param(self, value: StrEnum | str | None, dialect: Dialect) -> str | None:
        return None if value is None else self.enumeration(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.enumeration(value)


class MissionStateWord(Word):
    """A mission's state."""

    cache_ok = True
    enumeration = MissionState


class MissionKindWord(Word):
    """How a mission was handed over."""

    cache_ok = True
    enumeration = MissionKind


class HolderWord(Word):
    """Who works on a mission."""

    cache_ok = True
    enumeration = Holder


class ReasonWord(Word):
    """A reason code."""

    cache_ok = True
    enumeration = ReasonCode


class SessionStateWord(Word):
    """A lane session's status."""

    cache_ok = True
    enumeration = SessionState


class EventTypeWord(Word):
    """A ledger entry's type."""

    cache_ok = True
    enumeration = EventType


class StageWord(Word):
    """A stage of a rollout."""

    cache_ok = True
    enumeration = Stage


class OverrideWord(Word):
    """What lies over a rollout's stage."""

    cache_ok = True
    enumeration = Override
