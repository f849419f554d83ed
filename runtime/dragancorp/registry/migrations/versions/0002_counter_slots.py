"""A count is kept in slots, so that writers that commit at one moment do not wait for each other."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
phase = "before_deploy"

STRING = sa.String().with_variant(postgresql.TEXT(collation="C"), "postgresql")
INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
KEY = ["vp_id", "kind", "name", "slot"]


def upgrade() -> None:
    slot = sa.Column("slot", INTEGER, server_default=sa.text("0"), nullable=False)
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("vp_counters", slot)
        op.drop_constraint("vp_counters_pkey", "vp_counters")
        op.create_primary_key("vp_counters_pkey", "vp_counters", KEY)
        return
    # SQLite cannot change a primary key: the rows move to a table that has the new one.
    op.create_table(
        "vp_counters_in_slots",
        sa.Column("vp_id", STRING, nullable=False),
        sa.Column("kind", STRING, nullable=False),
        sa.Column("name", STRING, nullable=False),
        sa.Column("value", INTEGER, nullable=False),
        slot,
        sa.PrimaryKeyConstraint(*KEY),
    )
    op.execute("INSERT INTO vp_counters_in_slots SELECT vp_id, kind, name, value, 0 FROM vp_counters")
    op.drop_table("vp_counters")
    op.rename_table("vp_counters_in_slots", "vp_counters")
