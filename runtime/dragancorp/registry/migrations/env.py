"""Alembic's entry: runs migrations on the connection that `upgrade` hands in."""

from alembic import context

from dragancorp.registry.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
