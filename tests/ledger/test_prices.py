"""Prices are dated: each time has its own."""

from datetime import timedelta

from optimizer.domain import Price
from optimizer.ledger.database import Database
from optimizer.ledger.prices import DatedPrice, append_prices, prices_at
from tests.ledger.factory import NOON

CHEAP = Price(0.075, 0.3, 0.0375)
LONG = Price(1.25, 10.0, None, 200_000, 2.5, 15.0)


def test_the_price_in_force_is_the_latest_one_by_then(database: Database) -> None:
    later = NOON + timedelta(days=3)
    append_prices(database, [DatedPrice("a", NOON, LONG, "list"), DatedPrice("a", later, CHEAP, "list")])
    append_prices(database, [DatedPrice("b", later, Price(), "nobody knows")])
    assert prices_at(database, NOON - timedelta(microseconds=1)) == {}
    assert prices_at(database, NOON) == {"a": LONG}
    assert prices_at(database, later) == {"a": CHEAP, "b": Price()}


def test_a_price_for_the_same_moment_is_corrected(database: Database) -> None:
    append_prices(database, [DatedPrice("a", NOON, LONG, "typo")])
    append_prices(database, [DatedPrice("a", NOON, CHEAP, "list"), DatedPrice("a", NOON, CHEAP, "list")])
    assert prices_at(database, NOON) == {"a": CHEAP}
