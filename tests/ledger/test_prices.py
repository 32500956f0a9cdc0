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
    dated = [DatedPrice("a", "portkey", at, price, "list") for at, price in ((NOON, LONG), (later, CHEAP))]
    append_prices(database, dated)
    append_prices(database, [DatedPrice("b", "portkey", later, Price(), "nobody knows")])
    assert prices_at(database, NOON - timedelta(microseconds=1)) == {}
    assert prices_at(database, NOON) == {("a", "portkey"): LONG}
    assert prices_at(database, later) == {("a", "portkey"): CHEAP, ("b", "portkey"): Price()}


def test_each_gateway_has_prices_of_its_own(database: Database) -> None:
    append_prices(database, [DatedPrice("a", gateway, NOON, LONG, "list") for gateway in ("openrouter", "portkey")])
    append_prices(database, [DatedPrice("a", "openrouter", NOON + timedelta(days=1), CHEAP, "list")])
    found = prices_at(database, NOON + timedelta(days=1))
    assert found == {("a", "openrouter"): CHEAP, ("a", "portkey"): LONG}


def test_a_price_for_the_same_moment_is_corrected(database: Database) -> None:
    append_prices(database, [DatedPrice("a", "portkey", NOON, LONG, "typo")])
    append_prices(database, [DatedPrice("a", "portkey", NOON, CHEAP, "list")] * 2)
    assert prices_at(database, NOON) == {("a", "portkey"): CHEAP}
