"""What tests of the service share."""

from collections.abc import Iterator

import pytest

from optimizer.ledger.database import Database
from optimizer.ledger.schema import open_database


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()
