"""What a transaction waits for before it counts as committed."""

import gc

import pytest
from sqlalchemy import literal, select, text, union_all

from optimizer.ledger.database import Database, in_batches, no_garbage


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


@pytest.mark.parametrize("size", [1, 2, 100])
def test_rows_come_in_batches_and_all_of_them(database: Database, size: int) -> None:
    numbers = union_all(*(select(literal(n).label("n")) for n in range(5))).subquery()
    query = select(numbers.c.n).order_by(numbers.c.n)
    with database.reading() as connection:
        batches = [[tuple(row) for row in rows] for rows in in_batches(connection, query, size)]
    assert [row for rows in batches for row in rows] == [(n,) for n in range(5)]
    assert max(map(len, batches)) == min(size, 5)


def test_garbage_is_collected_again_afterwards() -> None:
    with no_garbage(), no_garbage():
        assert not gc.isenabled()
    assert gc.isenabled()
