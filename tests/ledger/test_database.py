"""What a transaction waits for before it counts as committed."""

import pytest
from sqlalchemy import text

from optimizer.ledger.database import Database


@pytest.mark.parametrize("durable", [True, False])
def test_only_durable_transactions_wait_for_the_disk(database: Database, durable: bool) -> None:
    """The same connection serves both in turn, so each says anew how it is."""
    for _ in range(2):
        with database.writing(durable=not durable):
            pass
        with database.writing(durable=durable) as connection:
            question = "PRAGMA synchronous" if database.is_sqlite else "SHOW synchronous_commit"
            found = connection.execute(text(question)).scalar_one()
        assert found == ((2 if durable else 1) if database.is_sqlite else ("on" if durable else "off"))
