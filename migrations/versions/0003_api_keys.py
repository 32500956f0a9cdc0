"""Lay down the service's API keys, and the secrets that its workers share."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("scopes_json", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("expires_at_us", sa.BigInteger),
        sa.Column("revoked_at_us", sa.BigInteger),
        sa.Column("last_used_on", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "shared_secrets",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("secret", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
