"""Where the lanes' rollouts stand, with the ledger of their changes and the chains of evidence."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
phase = "before_deploy"

STRING = sa.String().with_variant(postgresql.TEXT(collation="C"), "postgresql")
INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "vp_rollouts",
        sa.Column("vp_id", STRING, nullable=False),
        sa.Column("stage", TEXT, nullable=False),
        sa.Column("override", TEXT, nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("since", TEXT, nullable=True),
        sa.Column("since_position", INTEGER, nullable=False),
        sa.Column("last_sequence", INTEGER, nullable=False),
        sa.Column("last_digest", STRING, nullable=True),
        sa.Column("evidence_sequence", INTEGER, nullable=False),
        sa.Column("evidence_digest", STRING, nullable=True),
        sa.Column("evidence_at", TEXT, nullable=True),
        sa.CheckConstraint(
            "stage IN ('broadened', 'default_on', 'limited_cohort', 'off', 'shadow')", name="ck_stage_known"
        ),
        sa.CheckConstraint("override IN ('forced_fallback', 'none')", name="ck_override_known"),
        sa.ForeignKeyConstraint(["vp_id"], ["vp_sessions.vp_id"]),
        sa.PrimaryKeyConstraint("vp_id"),
    )
    for ledger in ("vp_rollout_changes", "vp_rollout_evidence"):
        op.create_table(
            ledger,
            sa.Column("vp_id", STRING, nullable=False),
            sa.Column("sequence", INTEGER, nullable=False),
            sa.Column("document", STRING, nullable=False),
            sa.ForeignKeyConstraint(["vp_id"], ["vp_sessions.vp_id"]),
            sa.PrimaryKeyConstraint("vp_id", "sequence"),
        )
