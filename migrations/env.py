"""Run the revisions on the connection that `optimizer.ledger.schema.upgrade` opened, inside its transaction."""

from alembic import context

from optimizer.ledger.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
