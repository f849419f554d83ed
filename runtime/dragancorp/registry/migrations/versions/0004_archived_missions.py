"""What is kept of missions that are in an archive; and retries found by what they repeat."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
phase = "before_deploy"

STRING = sa.String().with_variant(postgresql.TEXT(collation="C"), "postgresql")
INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
STATES = "'blocked', 'cancelled', 'completed', 'failed', 'queued', 'running', 'timed_out'"


def upgrade() -> None:
    op.create_table(
        "vp_archived_missions",
        sa.Column("mission_id", STRING, nullable=False),
        sa.Column("vp_id", STRING, nullable=False),
        sa.Column("position", INTEGER, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("finished_at", TEXT, nullable=False),
        sa.Column("last_sequence", INTEGER, nullable=False),
        sa.Column("last_digest", STRING, nullable=False),
        sa.Column("archive", STRING, nullable=False),
        sa.Column("archived_at", TEXT, nullable=False),
        sa.CheckConstraint(f"state IN ({STATES})", name="ck_state_known"),
        sa.PrimaryKeyConstraint("mission_id"),
    )
    repeats = sa.text("retry_of IS NOT NULL")
    op.create_index("ix_missions_retry", "vp_missions", ["retry_of"], sqlite_where=repeats, postgresql_where=repeats)
