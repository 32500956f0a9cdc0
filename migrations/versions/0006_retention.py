"""Remember from when on calls are kept, so that evidence from before is not missed in the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("evidence_state", sa.Column("kept_from_s", sa.BigInteger, nullable=False, server_default="0"))
