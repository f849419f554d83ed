"""The first schema: sessions, missions, their ledgers, artifacts, receipts, outbox and counts."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
phase = "before_deploy"

STRING = sa.String().with_variant(postgresql.TEXT(collation="C"), "postgresql")
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "vp_counters",
        sa.Column("vp_id", STRING, nullable=False),
        sa.Column("kind", STRING, nullable=False),
        sa.Column("name", STRING, nullable=False),
        sa.Column("value", INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("vp_id", "kind", "name"),
    )
    op.create_table(
        "vp_missions",
        sa.Column("position", INTEGER, nullable=False),
        sa.Column("mission_id", STRING, nullable=False),
        sa.Column("vp_id", STRING, nullable=False),
        sa.Column("vp_session_id", STRING, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempt", INTEGER, nullable=False),
        sa.Column("failures", INTEGER, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("hold_expires_at", TEXT, nullable=True),
        sa.Column("approval_expires_at", TEXT, nullable=True),
        sa.Column("lease_epoch", INTEGER, nullable=False),
        sa.Column("vp_runtime_id", STRING, nullable=True),
        sa.Column("cancel_requested_at", TEXT, nullable=True),
        sa.Column("reason_code", TEXT, nullable=True),
        sa.Column("cause", TEXT, nullable=True),
        sa.Column("parked", sa.Boolean(), nullable=False),
        sa.Column("not_before", TEXT, nullable=True),
        sa.Column("resume", sa.Boolean(), nullable=False),
        sa.Column("continuity_id", STRING, nullable=True),
        sa.Column("completed_via", STRING, nullable=True),
        sa.Column("fallback", sa.Boolean(), nullable=False),
        sa.Column("source_instance_id", STRING, nullable=False),
        sa.Column("idempotency_key", STRING, nullable=False),
        sa.Column("request_digest", STRING, nullable=False),
        sa.Column("priority_rank", INTEGER, nullable=False),
        sa.Column("traffic", STRING, nullable=False),
        sa.Column("trace_id", STRING, nullable=False),
        sa.Column("parent_mission_id", STRING, nullable=True),
        sa.Column("retry_of", STRING, nullable=True),
        sa.Column("callback_url", STRING, nullable=True),
        sa.Column("deadline_at", TEXT, nullable=True),
        sa.Column("window_start_at", TEXT, nullable=True),
        sa.Column("window_end_at", TEXT, nullable=True),
        sa.Column("max_runtime_seconds", sa.Float(), nullable=True),
        sa.Column("max_llm_calls", INTEGER, nullable=True),
        sa.Column("max_cost_microusd", INTEGER, nullable=True),
        sa.Column("usage", TEXT, nullable=False),
        sa.Column("runtime_seconds", sa.Float(), nullable=False),
        sa.Column("attempt_started_at", TEXT, nullable=True),
        sa.Column("started_at", TEXT, nullable=True),
        sa.Column("finished_at", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=False),
        sa.Column("updated_at", TEXT, nullable=False),
        sa.Column("last_sequence", INTEGER, nullable=False),
        sa.Column("last_digest", STRING, nullable=True),
        sa.Column("claim_key", STRING, nullable=False),
        sa.Column("ends_at", TEXT, nullable=True),
        sa.Column("document", STRING, nullable=False),
        sa.Column("assigned", TEXT, nullable=False),
        sa.CheckConstraint("holder IN ('lane', 'none', 'primary')", name="ck_holder_known"),
        sa.CheckConstraint("kind IN ('delegated', 'dispatched', 'shadow')", name="ck_kind_known"),
        sa.CheckConstraint(
            "reason_code IS NULL OR reason_code IN ('approval_denied', 'approval_expired', 'approval_required', 'approval_wanted', 'attempts_exhausted', 'awaiting_fallback', 'backstop_reached', 'budget_denied', 'budget_exhausted', 'caller_gone', 'cancel_forced', 'cancel_requested', 'constraint_refused', 'deadline_passed', 'drained', 'executor_crashed', 'executor_error', 'extension_unsupported', 'fallback_failed', 'idle_timeout', 'input_wanted', 'lane_draining', 'lease_lost', 'login_wanted', 'max_runtime_exceeded', 'outputs_missing', 'parent_ended', 'primary_lost', 'session_unresumable', 'shadow_blocked', 'stage_left_shadow', 'start_timeout', 'suspended', 'tool_forbidden', 'window_closed')",
            name="ck_reason_code_known",
        ),
        sa.CheckConstraint(
            "state IN ('blocked', 'cancelled', 'completed', 'failed', 'queued', 'running', 'timed_out')",
            name="ck_state_known",
        ),
        sa.CheckConstraint("state IN ('running', 'blocked') OR holder = 'none'", name="ck_holder_works"),
        sa.CheckConstraint("attempt >= 0 AND failures >= 0", name="ck_counts"),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("mission_id"),
        sa.UniqueConstraint("source_instance_id", "idempotency_key", name="uq_mission_idempotency"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_missions_blocked", "vp_missions", ["updated_at"], unique=False, **where("state = 'blocked'"))
    op.create_index(
        "ix_missions_claim",
        "vp_missions",
        ["vp_id", "claim_key", "position"],
        unique=False,
        **where("state = 'queued'"),
    )
    op.create_index("ix_missions_held", "vp_missions", ["vp_id"], unique=False, **where("holder = 'lane'"))
    op.create_index("ix_missions_lane", "vp_missions", ["vp_id", "position"], unique=False)
    op.create_index(
        "ix_missions_parent",
        "vp_missions",
        ["parent_mission_id"],
        unique=False,
        **where("parent_mission_id IS NOT NULL"),
    )
    op.create_index(
        "ix_missions_parked",
        "vp_missions",
        ["position"],
        unique=False,
        sqlite_where=sa.text("parked = 1"),
        postgresql_where=sa.text("parked"),
    )
    op.create_index("ix_missions_queued_until", "vp_missions", ["ends_at"], unique=False, **where("state = 'queued'"))
    op.create_index("ix_missions_running", "vp_missions", ["updated_at"], unique=False, **where("state = 'running'"))
    op.create_table(
        "vp_sessions",
        sa.Column("vp_id", STRING, nullable=False),
        sa.Column("vp_session_id", STRING, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("lease_owner", STRING, nullable=True),
        sa.Column("lease_epoch", INTEGER, nullable=False),
        sa.Column("lease_expires_at", TEXT, nullable=True),
        sa.Column("beat", INTEGER, nullable=False),
        sa.Column("heartbeat_at", TEXT, nullable=True),
        sa.Column("vp_runtime_id", STRING, nullable=True),
        sa.Column("executor_session_id", STRING, nullable=True),
        sa.Column("continuity_id", STRING, nullable=False),
        sa.Column("workspace", STRING, nullable=True),
        sa.Column("last_error", STRING, nullable=True),
        sa.Column("drain_open", sa.Boolean(), nullable=False),
        sa.Column("created_at", TEXT, nullable=False),
        sa.Column("updated_at", TEXT, nullable=False),
        sa.Column("last_sequence", INTEGER, nullable=False),
        sa.Column("last_digest", STRING, nullable=True),
        sa.Column("policy", TEXT, nullable=False),
        sa.CheckConstraint(
            "status IN ('active', 'degraded', 'idle', 'paused', 'recovering', 'retired')", name="ck_status_known"
        ),
        sa.PrimaryKeyConstraint("vp_id"),
    )
    op.create_table(
        "vp_turn_minutes",
        sa.Column("vp_id", STRING, nullable=False),
        sa.Column("reason", STRING, nullable=False),
        sa.Column("minute", TEXT, nullable=False),
        sa.Column("count", INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("vp_id", "reason", "minute"),
    )
    op.create_table(
        "vp_artifacts",
        sa.Column("mission_id", STRING, nullable=False),
        sa.Column("name", STRING, nullable=False),
        sa.Column("attempt", INTEGER, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["mission_id"],
            ["vp_missions.mission_id"],
        ),
        sa.PrimaryKeyConstraint("mission_id", "name"),
    )
    op.create_table(
        "vp_mission_events",
        sa.Column("position", INTEGER, nullable=False),
        sa.Column("mission_id", STRING, nullable=False),
        sa.Column("vp_id", STRING, nullable=False),
        sa.Column("sequence", INTEGER, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("emitted_at", TEXT, nullable=False),
        sa.Column("idempotency_key", STRING, nullable=True),
        sa.Column("report_digest", STRING, nullable=True),
        sa.Column("document", STRING, nullable=False),
        sa.CheckConstraint(
            "type IN ('vp.mission.accepted', 'vp.mission.artifact', 'vp.mission.blocked', 'vp.mission.budget_changed', 'vp.mission.cancel_requested', 'vp.mission.cancelled', 'vp.mission.completed', 'vp.mission.dispatched', 'vp.mission.failed', 'vp.mission.fallback', 'vp.mission.progress', 'vp.mission.requeued', 'vp.mission.resumed', 'vp.mission.timed_out', 'vp.session.activated', 'vp.session.created', 'vp.session.degraded', 'vp.session.drained', 'vp.session.opened', 'vp.session.paused', 'vp.session.recovered', 'vp.session.recovering', 'vp.session.released', 'vp.session.reset', 'vp.session.resumed', 'vp.session.retired')",
            name="ck_type_known",
        ),
        sa.ForeignKeyConstraint(
            ["mission_id"],
            ["vp_missions.mission_id"],
        ),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("mission_id", "sequence", name="uq_mission_event_sequence"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_mission_events_claims",
        "vp_mission_events",
        ["vp_id", "emitted_at"],
        unique=False,
        **where("type = 'vp.mission.accepted'"),
    )
    op.create_index("ix_mission_events_lane", "vp_mission_events", ["vp_id", "position"], unique=False)
    op.create_index(
        "ux_mission_events_key",
        "vp_mission_events",
        ["mission_id", "idempotency_key"],
        unique=True,
        **where("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "vp_outbox",
        sa.Column("position", INTEGER, nullable=False),
        sa.Column("mission_id", STRING, nullable=False),
        sa.Column("endpoint", STRING, nullable=False),
        sa.Column("sequence", INTEGER, nullable=False),
        sa.Column("status", STRING, nullable=False),
        sa.Column("attempts", INTEGER, nullable=False),
        sa.Column("next_attempt_at", TEXT, nullable=False),
        sa.Column("body", STRING, nullable=False),
        sa.Column("created_at", TEXT, nullable=False),
        sa.CheckConstraint("status IN ('undelivered', 'delivered', 'dead')", name="ck_outbox_status"),
        sa.ForeignKeyConstraint(
            ["mission_id"],
            ["vp_missions.mission_id"],
        ),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("mission_id", "endpoint", "sequence", name="uq_outbox_order"),
    )
    op.create_index(
        "ix_outbox_undelivered",
        "vp_outbox",
        ["mission_id"],
        unique=False,
        **where("status = 'undelivered'"),
    )
    op.create_table(
        "vp_receipts",
        sa.Column("mission_id", STRING, nullable=False),
        sa.Column("attempt", INTEGER, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["mission_id"],
            ["vp_missions.mission_id"],
        ),
        sa.PrimaryKeyConstraint("mission_id"),
    )
    op.create_table(
        "vp_session_events",
        sa.Column("position", INTEGER, nullable=False),
        sa.Column("vp_id", STRING, nullable=False),
        sa.Column("sequence", INTEGER, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("emitted_at", TEXT, nullable=False),
        sa.Column("document", STRING, nullable=False),
        sa.CheckConstraint(
            "type IN ('vp.mission.accepted', 'vp.mission.artifact', 'vp.mission.blocked', 'vp.mission.budget_changed', 'vp.mission.cancel_requested', 'vp.mission.cancelled', 'vp.mission.completed', 'vp.mission.dispatched', 'vp.mission.failed', 'vp.mission.fallback', 'vp.mission.progress', 'vp.mission.requeued', 'vp.mission.resumed', 'vp.mission.timed_out', 'vp.session.activated', 'vp.session.created', 'vp.session.degraded', 'vp.session.drained', 'vp.session.opened', 'vp.session.paused', 'vp.session.recovered', 'vp.session.recovering', 'vp.session.released', 'vp.session.reset', 'vp.session.resumed', 'vp.session.retired')",
            name="ck_type_known",
        ),
        sa.ForeignKeyConstraint(
            ["vp_id"],
            ["vp_sessions.vp_id"],
        ),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("vp_id", "sequence", name="uq_session_event_sequence"),
        sqlite_autoincrement=True,
    )
