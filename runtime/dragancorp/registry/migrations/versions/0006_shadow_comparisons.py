"""How shadow missions compare with what the primary path answered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
phase = "before_deploy"

STRING = sa.String().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "vp_shadow_comparisons",
        sa.Column("mission_id", STRING, nullable=False),
        sa.Column("document", STRING, nullable=False),
        sa.ForeignKeyConstraint(["mission_id"], ["vp_missions.mission_id"]),
        sa.PrimaryKeyConstraint("mission_id"),
    )
