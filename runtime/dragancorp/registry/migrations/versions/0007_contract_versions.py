"""Which version of the envelope's contract a mission was written by, and what the lane's holder reads."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
phase = "before_deploy"

STRING = sa.String().with_variant(postgresql.TEXT(collation="C"), "postgresql")
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    # What is stored already was written by the first version.
    first = sa.text("'mission-envelope/v1'")
    op.add_column("vp_missions", sa.Column("contract", STRING, server_default=first, nullable=False))
    others = sa.text("state = 'queued' AND contract <> 'mission-envelope/v1'")
    op.create_index(
        "ix_missions_other_contract", "vp_missions", ["vp_id"], sqlite_where=others, postgresql_where=others
    )
    op.add_column("vp_sessions", sa.Column("holder_reads", TEXT, nullable=True))
