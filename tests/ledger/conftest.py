"""An open ledger for each test, on both databases."""

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from optimizer.decision.limits import SpendingLimits
from optimizer.ledger.database import Database
from optimizer.ledger.purse import Purse
from optimizer.ledger.schema import open_database
from optimizer.ledger.writer import Writer
from tests.ledger.factory import NOON, rule_of


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    writer = Writer(database, rule_of, durability="sync")
    yield writer
    writer.close()


@pytest.fixture
def opened() -> Iterator[Callable[[str], Database]]:
    """Open more databases, closed after the test."""
    databases: list[Database] = []

    def open_one(url: str) -> Database:
        databases.append(open_database(url))
        return databases[-1]

    yield open_one
    for database in databases:
        database.close()


@pytest.fixture
def purses(database: Database) -> Iterator[Callable[..., Purse]]:
    """Make purses at the ledger, closed after the test; it is noon there."""
    made: list[Purse] = []

    def make(limits: SpendingLimits, *, at: datetime = NOON, ttl_s: float = 300.0) -> Purse:
        made.append(Purse(database, limits, clock=lambda: at, ttl_s=ttl_s))
        return made[-1]

    yield make
    for purse in made:
        purse.close()
