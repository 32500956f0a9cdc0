"""Breakers in the ledger: the latest change stands, whoever tells it, and however late."""

from dataclasses import replace
from datetime import timedelta

import pytest

from optimizer.errors import InvalidRequest
from optimizer.ledger.database import Database
from optimizer.ledger.health import WHOLE_GATEWAY, BreakerState, read_health, write_health
from optimizer.ledger.writer import Writer
from tests.ledger.factory import NOON, make_selection

OPEN = BreakerState("portkey", "small", "open", "server", 5, NOON, NOON + timedelta(seconds=30))
CLOSED = BreakerState("portkey", "small", "closed", None, 0, NOON + timedelta(seconds=40))
GATEWAY = BreakerState("openrouter", WHOLE_GATEWAY, "half_open", "unreachable", 3, NOON, None)


def test_states_read_back_as_they_were_written(database: Database) -> None:
    assert read_health(database) == []
    write_health(database, [OPEN, GATEWAY])
    assert read_health(database) == [GATEWAY, OPEN]


@pytest.mark.parametrize("order", [(OPEN, CLOSED), (CLOSED, OPEN)])
def test_the_latest_change_stands_whatever_the_order(database: Database, order: tuple[BreakerState, ...]) -> None:
    for state in order:
        write_health(database, [state])
    assert read_health(database) == [CLOSED]


@pytest.mark.parametrize("order", [(OPEN, CLOSED), (CLOSED, OPEN)])
def test_the_writer_takes_states_beside_calls(
    database: Database, writer: Writer, order: tuple[BreakerState, ...]
) -> None:
    writer.submit(*order, make_selection("a")).result()
    writer.submit(GATEWAY).result()
    assert read_health(database) == [GATEWAY, CLOSED]


def test_a_state_without_a_time_zone_is_refused_alone(database: Database, writer: Writer) -> None:
    bad = writer.submit(replace(OPEN, changed_at=NOON.replace(tzinfo=None)))
    writer.submit(GATEWAY).result()
    with pytest.raises(InvalidRequest, match="time zone"):
        bad.result()
    assert read_health(database) == [GATEWAY]
