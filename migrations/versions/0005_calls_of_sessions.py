"""Find a session's latest call without reading all calls."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    in_a_session = sa.text("session_id IS NOT NULL")
    op.create_index(
        "ix_calls_session_id",
        "calls",
        ["session_id", "decided_at_us"],
        sqlite_where=in_a_session,
        postgresql_where=in_a_session,
    )
