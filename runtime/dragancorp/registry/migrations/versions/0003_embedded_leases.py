"""Whether a lane's holder lives in the process of its control plane. Every holder before this version did."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
phase = "before_deploy"


def upgrade() -> None:
    op.add_column("vp_sessions", sa.Column("lease_embedded", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(sa.text("UPDATE vp_sessions SET lease_embedded = true WHERE lease_owner IS NOT NULL"))
