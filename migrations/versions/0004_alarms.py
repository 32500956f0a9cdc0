"""Keep alarms of drift, one per model, subject, direction and day."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("direction", sa.Text, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("since_at_us", sa.BigInteger, nullable=False),
        sa.Column("raised_at_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
