"""Prices are dated: each time has its own."""

from datetime import timedelta

from optimizer.domain import DatedPrice, Price
from optimizer.ledger.database import Database
from optimizer.ledger.prices import append_prices, read_prices
from tests.ledger.factory import NOON

CHEAP = Price(0.075, 0.3, 0.0375)
LONG = Price(1.25, 10.0, None, 200_000, 2.5, 15.0)


def test_all_prices_are_read_back_as_they_were_appended(database: Database) -> None:
    """By model and gateway, each with prices of its own; what is unknown stays unknown."""
    dated = (
        DatedPrice("a", "openrouter", NOON, CHEAP, "list"),
        DatedPrice("a", "portkey", NOON, LONG, "list"),
        DatedPrice("a", "portkey", NOON + timedelta(days=3), CHEAP, "list"),
        DatedPrice("b", "portkey", NOON, Price(), "nobody knows"),
    )
    append_prices(database, reversed(dated))
    assert read_prices(database) == dated


def test_a_price_for_the_same_moment_is_corrected(database: Database) -> None:
    append_prices(database, [DatedPrice("a", "portkey", NOON, LONG, "typo")])
    append_prices(database, [DatedPrice("a", "portkey", NOON, CHEAP, "list")] * 2)
    assert read_prices(database) == (DatedPrice("a", "portkey", NOON, CHEAP, "list"),)
