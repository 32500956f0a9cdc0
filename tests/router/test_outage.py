"""A Postgres that stops under load costs no call and no rating; it stays away for 30 s in `make bench`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.postgres_outage import run
from tests.ledger.postgres import Server, own_server


@pytest.fixture
def server() -> Iterator[Server]:
    with own_server() as server:
        yield server


def test_a_postgres_that_is_stopped_loses_nothing_and_counts_nothing_twice(server: Server, tmp_path: Path) -> None:
    figures = run(server, tmp_path, outage_s=2.0, around_s=1.0)
    assert figures["n_called"] > figures["n_during"] > 0
    assert figures["journal_length"] > 0
    assert figures["n_errors"] == 0
    lost = figures["n_calls_lost"], figures["n_ratings_lost"]
    twice = figures["n_calls_counted_twice"], figures["n_ratings_counted_twice"]
    assert (lost, twice, figures["n_differences"]) == ((0, 0), (0, 0), 0)
    assert list((tmp_path / "journal").iterdir()) == []
