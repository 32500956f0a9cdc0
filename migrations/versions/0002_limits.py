"""Lay down spending windows, reservations and health; note reused replies; date prices per gateway."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("reused", sa.Text))
    op.create_table(
        "budgets",
        sa.Column("scope_kind", sa.Text, primary_key=True),
        sa.Column("scope_name", sa.Text, primary_key=True),
        sa.Column("window_kind", sa.Text, primary_key=True),
        sa.Column("start_at_us", sa.BigInteger, primary_key=True),
        sa.Column("spent_nano_usd", sa.BigInteger, nullable=False),
        sa.Column("reserved_nano_usd", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reservations",
        sa.Column("reservation_id", sa.Text, primary_key=True),
        sa.Column("granted_nano_usd", sa.BigInteger, nullable=False),
        sa.Column("expires_at_us", sa.BigInteger, nullable=False),
        sa.Column("windows_json", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reservations_expires_at_us", "reservations", ["expires_at_us"])
    op.create_table(
        "health",
        sa.Column("gateway", sa.Text, primary_key=True),
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error_kind", sa.Text),
        sa.Column("n_failures", sa.Integer, nullable=False),
        sa.Column("changed_at_us", sa.BigInteger, nullable=False),
        sa.Column("open_until_us", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    # Nothing has ever written a price, so there is none to carry over.
    op.drop_table("prices")
    op.create_table(
        "prices",
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("gateway", sa.Text, primary_key=True),
        sa.Column("from_at_us", sa.BigInteger, primary_key=True),
        sa.Column("input_nano_usd_per_mtok", sa.BigInteger),
        sa.Column("output_nano_usd_per_mtok", sa.BigInteger),
        sa.Column("cached_nano_usd_per_mtok", sa.BigInteger),
        sa.Column("long_over_tokens", sa.BigInteger),
        sa.Column("long_input_nano_usd_per_mtok", sa.BigInteger),
        sa.Column("long_output_nano_usd_per_mtok", sa.BigInteger),
        sa.Column("source", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
