"""The registry's tables. Rows of the life cycles have the field names of `lifecycle.rows`.

Table classes describe storage; statements are written against their `__table__`, so that nothing is validated,
tracked or flushed twice on the hot path.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, Integer, Table, UniqueConstraint, false, text
from sqlmodel import AutoString, Field, SQLModel

from dragancorp.registry.column_types import (
    PLAIN_TEXT,
    WHOLE_NUMBER,
    EventTypeWord,
    HolderWord,
    JsonDocument,
    MissionKindWord,
    MissionStateWord,
    OverrideWord,
    ReasonWord,
    SessionStateWord,
    StageWord,
    UtcTime,
)
from dragancorp.registry.constraints import words
from dragancorp_contracts.lifecycle import EventType, Holder, MissionKind, MissionState, ReasonCode, SessionState
from dragancorp_contracts.models.rollout_evidence_v1 import Override
from dragancorp_contracts.models.rollout_policy_v1 import Stage

ENVELOPE = "mission-envelope/v1"
"""The contract, with its version, that missions are written by."""

# A position is a cursor for readers: one that was given out never comes back, even after rows were archived.
KEEP_POSITIONS = {"sqlite_autoincrement": True}


def where(condition: str, *, postgresql: str | None = None) -> dict[str, Any]:
    """A partial index's condition, in each database's words."""
    return {"sqlite_where": text(condition), "postgresql_where": text(postgresql or condition)}


class RegistryTable(SQLModel):
    """What every table class has in common."""

    __table__: ClassVar[Table]


class VpSession(RegistryTable, table=True):
    """One row a lane."""

    __tablename__ = "vp_sessions"
    __table_args__ = (words("status", SessionState),)

    vp_id: str = Field(primary_key=True)
    vp_session_id: str
    status: SessionState = Field(sa_type=SessionStateWord)
    lease_owner: str | None = None
    lease_epoch: int = 0
    lease_expires_at: datetime | None = Field(default=None, sa_type=UtcTime)
    lease_embedded: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    beat: int = 0
    heartbeat_at: datetime | None = Field(default=None, sa_type=UtcTime)
    vp_runtime_id: str | None = None
    executor_session_id: str | None = None
    continuity_id: str
    workspace: str | None = None
    last_error: str | None = None
    drain_open: bool = False
    created_at: datetime = Field(sa_type=UtcTime)
    updated_at: datetime = Field(sa_type=UtcTime)
    last_sequence: int = 0
    last_digest: str | None = None
    policy: Mapping[str, Any] = Field(sa_type=JsonDocument)
    # storage only: {epoch, reads}, noted when a holder was not given a mission because it does not read it
    holder_reads: Mapping[str, Any] | None = Field(default=None, sa_type=JsonDocument)


class VpMission(RegistryTable, table=True):
    """One row a mission. `document` is the envelope as received, `assigned` what the control plane added."""

    __tablename__ = "vp_missions"
    __table_args__ = (
        words("state", MissionState),
        words("kind", MissionKind),
        words("holder", Holder),
        words("reason_code", ReasonCode, nullable=True),
        CheckConstraint("attempt >= 0 AND failures >= 0", name="ck_counts"),
        CheckConstraint("state IN ('running', 'blocked') OR holder = 'none'", name="ck_holder_works"),
        UniqueConstraint("source_instance_id", "idempotency_key", name="uq_mission_idempotency"),
        Index("ix_missions_lane", "vp_id", "position"),
        Index("ix_missions_claim", "vp_id", "claim_key", "position", **where("state = 'queued'")),
        Index("ix_missions_held", "vp_id", **where("holder = 'lane'")),
        Index("ix_missions_running", "updated_at", **where("state = 'running'")),
        Index("ix_missions_blocked", "updated_at", **where("state = 'blocked'")),
        Index("ix_missions_queued_until", "ends_at", **where("state = 'queued'")),
        Index("ix_missions_parked", "position", **where("parked = 1", postgresql="parked")),
        Index(
            "ix_missions_other_contract",
            "vp_id",
            **where(f"state = 'queued' AND contract <> '{ENVELOPE}'"),
        ),
        Index("ix_missions_retry", "retry_of", **where("retry_of IS NOT NULL")),
        Index("ix_missions_parent", "parent_mission_id", **where("parent_mission_id IS NOT NULL")),
        KEEP_POSITIONS,
    )

    position: int | None = Field(default=None, primary_key=True)
    mission_id: str = Field(unique=True)
    vp_id: str
    vp_session_id: str
    kind: MissionKind = Field(sa_type=MissionKindWord)
    state: MissionState = Field(sa_type=MissionStateWord)
    attempt: int = 0
    failures: int = 0
    holder: Holder = Field(default=Holder.NONE, sa_type=HolderWord)
    hold_expires_at: datetime | None = Field(default=None, sa_type=UtcTime)
    approval_expires_at: datetime | None = Field(default=None, sa_type=UtcTime)
    lease_epoch: int = 0
    vp_runtime_id: str | None = None
    cancel_requested_at: datetime | None = Field(default=None, sa_type=UtcTime)
    reason_code: ReasonCode | None = Field(default=None, sa_type=ReasonWord)
    cause: ReasonCode | None = Field(default=None, sa_type=ReasonWord)
    parked: bool = False
    not_before: datetime | None = Field(default=None, sa_type=UtcTime)
    resume: bool = False
    continuity_id: str | None = None
    completed_via: str | None = None
    fallback: bool = False
    source_instance_id: str
    idempotency_key: str
    request_digest: str
    priority_rank: int = 2
    traffic: str = "real"
    trace_id: str
    parent_mission_id: str | None = None
    retry_of: str | None = None
    callback_url: str | None = None
    deadline_at: datetime | None = Field(default=None, sa_type=UtcTime)
    window_start_at: datetime | None = Field(default=None, sa_type=UtcTime)
    window_end_at: datetime | None = Field(default=None, sa_type=UtcTime)
    max_runtime_seconds: float | None = None
    max_llm_calls: int | None = None
    max_cost_microusd: int | None = None
    usage: Mapping[str, Any] = Field(default_factory=dict, sa_type=JsonDocument)
    runtime_seconds: float = 0.0
    attempt_started_at: datetime | None = Field(default=None, sa_type=UtcTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcTime)
    created_at: datetime = Field(sa_type=UtcTime)
    updated_at: datetime = Field(sa_type=UtcTime)
    last_sequence: int = 0
    last_digest: str | None = None
    # storage only
    claim_key: str
    ends_at: datetime | None = Field(default=None, sa_type=UtcTime)  # the earlier of deadline and window end
    document: str
    assigned: Mapping[str, Any] = Field(sa_type=JsonDocument)
    contract: str = Field(default=ENVELOPE, sa_column_kwargs={"server_default": text(f"'{ENVELOPE}'")})


class VpMissionEvent(RegistryTable, table=True):
    """The missions' ledger: entries never change."""

    __tablename__ = "vp_mission_events"
    __table_args__ = (
        words("type", EventType),
        UniqueConstraint("mission_id", "sequence", name="uq_mission_event_sequence"),
        Index("ix_mission_events_lane", "vp_id", "position"),
        Index("ix_mission_events_claims", "vp_id", "emitted_at", **where("type = 'vp.mission.accepted'")),
        Index(
            "ux_mission_events_key",
            "mission_id",
            "idempotency_key",
            unique=True,
            **where("idempotency_key IS NOT NULL"),
        ),
        KEEP_POSITIONS,
    )

    position: int | None = Field(default=None, primary_key=True)
    mission_id: str = Field(foreign_key="vp_missions.mission_id")
    vp_id: str
    sequence: int
    type: EventType = Field(sa_type=EventTypeWord)
    emitted_at: datetime = Field(sa_type=UtcTime)
    idempotency_key: str | None = None
    report_digest: str | None = None
    document: str


class VpSessionEvent(RegistryTable, table=True):
    """The lane sessions' ledger: entries never change."""

    __tablename__ = "vp_session_events"
    __table_args__ = (
        words("type", EventType),
        UniqueConstraint("vp_id", "sequence", name="uq_session_event_sequence"),
        KEEP_POSITIONS,
    )

    position: int | None = Field(default=None, primary_key=True)
    vp_id: str = Field(foreign_key="vp_sessions.vp_id")
    sequence: int
    type: EventType = Field(sa_type=EventTypeWord)
    emitted_at: datetime = Field(sa_type=UtcTime)
    document: str


class VpArtifact(RegistryTable, table=True):
    """Artifacts of missions: where they are is the storage scope's business, what they are stands here."""

    __tablename__ = "vp_artifacts"

    mission_id: str = Field(primary_key=True, foreign_key="vp_missions.mission_id")
    name: str = Field(primary_key=True)
    attempt: int
    document: Mapping[str, Any] = Field(sa_type=JsonDocument)


class VpReceipt(RegistryTable, table=True):
    """What the holder wrote when the work was done, before it reported."""

    __tablename__ = "vp_receipts"

    mission_id: str = Field(primary_key=True, foreign_key="vp_missions.mission_id")
    attempt: int
    document: Mapping[str, Any] = Field(sa_type=JsonDocument)


class VpOutbox(RegistryTable, table=True):
    """Callbacks to send, in order per mission and endpoint, written with the event they carry."""

    __tablename__ = "vp_outbox"
    __table_args__ = (
        CheckConstraint("status IN ('undelivered', 'delivered', 'dead')", name="ck_outbox_status"),
        UniqueConstraint("mission_id", "endpoint", "sequence", name="uq_outbox_order"),
        Index("ix_outbox_undelivered", "mission_id", **where("status = 'undelivered'")),
    )

    position: int | None = Field(default=None, primary_key=True)
    mission_id: str = Field(foreign_key="vp_missions.mission_id")
    endpoint: str
    sequence: int
    status: str = "undelivered"
    attempts: int = 0
    next_attempt_at: datetime = Field(sa_type=UtcTime)
    body: str
    created_at: datetime = Field(sa_type=UtcTime)


class VpCounter(RegistryTable, table=True):
    """Counts kept by the writer, so that a snapshot costs the same at any length of history.

    A count is the sum over its slots: writers that commit at one moment add to different slots and wait for nobody.
    """

    __tablename__ = "vp_counters"

    vp_id: str = Field(primary_key=True)
    kind: str = Field(
        primary_key=True
    )  # mission_state, mission_event, session_event, orphan_signal, turn, archived_*, probe
    name: str = Field(primary_key=True)
    value: int = 0
    slot: int = Field(primary_key=True, default=0, sa_column_kwargs={"server_default": text("0")})


class VpTurnMinute(RegistryTable, table=True):
    """Turns that a gateway routed, per lane, reason and minute."""

    __tablename__ = "vp_turn_minutes"

    vp_id: str = Field(primary_key=True)
    reason: str = Field(primary_key=True)
    minute: datetime = Field(primary_key=True, sa_type=UtcTime)
    count: int = 0


class VpArchivedMission(RegistryTable, table=True):
    """What is kept of a mission that is in an archive: that there was one, how it ended, and in which file it is."""

    __tablename__ = "vp_archived_missions"
    __table_args__ = (words("state", MissionState),)

    mission_id: str = Field(primary_key=True)
    vp_id: str
    position: int
    state: MissionState = Field(sa_type=MissionStateWord)
    finished_at: datetime = Field(sa_type=UtcTime)
    last_sequence: int
    last_digest: str
    archive: str
    archived_at: datetime = Field(sa_type=UtcTime)


class VpRollout(RegistryTable, table=True):
    """Where a lane's rollout stands; one row a lane whose stage was ever stored or looked at."""

    __tablename__ = "vp_rollouts"
    __table_args__ = (words("stage", Stage), words("override", Override))

    vp_id: str = Field(primary_key=True, foreign_key="vp_sessions.vp_id")
    stage: Stage = Field(sa_type=StageWord)
    override: Override = Field(sa_type=OverrideWord)
    held: bool = False
    since: datetime | None = Field(default=None, sa_type=UtcTime)
    since_position: int = 0
    last_sequence: int = 0
    last_digest: str | None = None
    evidence_sequence: int = 0
    evidence_digest: str | None = None
    evidence_at: datetime | None = Field(default=None, sa_type=UtcTime)


class VpRolloutChange(RegistryTable, table=True):
    """The ledger of the lanes' rollouts: entries never change."""

    __tablename__ = "vp_rollout_changes"

    vp_id: str = Field(primary_key=True, foreign_key="vp_sessions.vp_id")
    sequence: int = Field(primary_key=True)
    document: str


class VpRolloutEvidence(RegistryTable, table=True):
    """The lanes' evidence, chained: entries never change."""

    __tablename__ = "vp_rollout_evidence"

    vp_id: str = Field(primary_key=True, foreign_key="vp_sessions.vp_id")
    sequence: int = Field(primary_key=True)
    document: str


class VpShadowComparison(RegistryTable, table=True):
    """How a shadow mission compares with what the primary path answered."""

    __tablename__ = "vp_shadow_comparisons"

    mission_id: str = Field(primary_key=True, foreign_key="vp_missions.mission_id")
    document: str


SESSIONS = VpSession.__table__
MISSIONS = VpMission.__table__
MISSION_EVENTS = VpMissionEvent.__table__
SESSION_EVENTS = VpSessionEvent.__table__
ARTIFACTS = VpArtifact.__table__
RECEIPTS = VpReceipt.__table__
OUTBOX = VpOutbox.__table__
COUNTERS = VpCounter.__table__
TURN_MINUTES = VpTurnMinute.__table__
ARCHIVED_MISSIONS = VpArchivedMission.__table__
COMPARISONS = VpShadowComparison.__table__
ROLLOUTS = VpRollout.__table__
ROLLOUT_CHANGES = VpRolloutChange.__table__
ROLLOUT_EVIDENCE = VpRolloutEvidence.__table__
METADATA = SQLModel.metadata

for _table in METADATA.tables.values():
    for _column in _table.columns:
        if type(_column.type) is AutoString:
            _column.type = PLAIN_TEXT
        elif type(_column.type) is Integer:
            _column.type = WHOLE_NUMBER
