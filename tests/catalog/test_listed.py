"""Lists of prices beside the prices in force: moves, nothing new, and what is not believed without a person's word."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.catalog import load_catalog
from optimizer.catalog.listed import PriceMove, price_move
from optimizer.domain import Gateway, Price

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CATALOG = load_catalog()
LISTED = Price(2.0, 8.0)  # of gpt-4o, which costs 2.5 / 10, cached 1.25


def _move(key: str, listed: Price, gateway: Gateway = "portkey") -> PriceMove:
    found = price_move(CATALOG, key, gateway, listed, NOW)
    assert found is not None
    return found


def test_new_price_is_a_move_and_what_the_list_does_not_say_stays() -> None:
    found = _move("gpt-4o", LISTED)
    assert found == PriceMove("gpt-4o", "portkey", Price(2.5, 10.0, 1.25), Price(2.0, 8.0, 1.25))
    assert found.dated(NOW, "list").price == Price(2.0, 8.0, 1.25)


@pytest.mark.parametrize("listed", [Price(), Price(2.5, 10.0, 1.25), Price(2.5 + 1e-12), Price(None, 10.0)])
def test_same_or_nothing_is_no_move(listed: Price) -> None:
    assert price_move(CATALOG, "gpt-4o", "portkey", listed, NOW) is None


@given(st.sampled_from(sorted(CATALOG.models)), st.sampled_from(["portkey", "openrouter"]))
def test_move_that_was_taken_is_no_move_any_more(key: str, gateway: Gateway) -> None:
    """Whatever is listed, the second look finds nothing new."""
    moved = price_move(CATALOG, key, gateway, LISTED, NOW)
    if moved is not None:
        seen = CATALOG.with_prices([moved.dated(NOW, "list")])
        later = NOW + timedelta(minutes=1)
        assert price_move(seen, key, gateway, LISTED, later) is None or CATALOG.priced_by_the_hour(key, NOW)


def test_price_that_was_unknown_becomes_known_without_doubt() -> None:
    found = _move("gpt-6-sol", Price(2.0, 10.0), "openrouter")
    assert (found.before.input_usd_per_mtok, found.after.input_usd_per_mtok, found.doubt) == (None, 2.0, None)


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (Price(25.1), "its input price would move by more than 10×, from $2.5 to $25.1"),
        (Price(2.5, 0.99), "its output price would move by more than 10×, from $10 to $0.99"),
        (Price(0.0, 0.0), "its input price would be $0; is it really free?"),
        (Price(long_over_tokens=1000, long_input_usd_per_mtok=0.0), "its long input price would be $0"),
    ],
)
def test_leap_and_gift_are_doubted(listed: Price, words: str) -> None:
    assert words in (_move("gpt-4o", listed).doubt or "")


@pytest.mark.parametrize("listed", [Price(25.0), Price(0.25), Price(2.5, 100.0)])
def test_factor_of_ten_itself_is_believed(listed: Price) -> None:
    assert _move("gpt-4o", listed).doubt is None


def test_free_model_that_is_to_be_paid_is_doubted() -> None:
    free = CATALOG["gpt-4o"].model_copy(update={"input_usd_per_mtok": 0.0, "output_usd_per_mtok": 0.0})
    catalog = replace(CATALOG, models={**CATALOG.models, "gpt-4o": free})
    assert price_move(catalog, "gpt-4o", "portkey", Price(0.0, 0.0), NOW) is None
    found = price_move(catalog, "gpt-4o", "portkey", Price(2.5, 10.0), NOW)
    assert found is not None
    assert "from $0 to $2.5" in (found.doubt or "")


def test_price_announced_for_a_later_day_is_doubted_before() -> None:
    """Gemini 3.8 Flash is 0.75 / 3.75 until 2027, then 1.5 / 7.5; lists had the second already in 2026."""
    found = _move("gemini-3.8-flash", Price(1.5, 7.5))
    assert found.doubt == "it is the price announced for 2027-01-01, listed too early"


def test_one_price_for_a_model_that_charges_by_the_hour_is_doubted() -> None:
    assert "by the hour" in (_move("deepseek-v4-pro", Price(0.5, 1.5)).doubt or "")


def test_prices_above_another_length_come_with_it() -> None:
    """With a new length, the prices above the old one are worth nothing."""
    known = CATALOG.price("gpt-5.6-luna", "portkey", NOW)
    assert (known.long_over_tokens, known.long_input_usd_per_mtok) == (272_000, 0.4)
    same = _move("gpt-5.6-luna", Price(long_over_tokens=272_000, long_input_usd_per_mtok=0.5))
    other = _move("gpt-5.6-luna", Price(long_over_tokens=128_000))
    assert (same.after.long_input_usd_per_mtok, same.after.long_output_usd_per_mtok) == (0.5, 1.8)
    assert (other.after.long_input_usd_per_mtok, other.after.long_output_usd_per_mtok) == (None, None)
