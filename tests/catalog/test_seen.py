"""Prices that lists were seen to name, over those of the files: the later word counts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from optimizer.catalog import load_catalog
from optimizer.domain import DatedPrice, Gateway, Price

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CATALOG = load_catalog()
CHEAP, CHEAPER = Price(1.0, 4.0, 0.5), Price(0.5, 2.0)


def _seen(key: str, gateway: Gateway = "portkey", at: datetime = NOW, price: Price = CHEAP) -> DatedPrice:
    return DatedPrice(key, gateway, at, price, "list")


def test_price_holds_from_the_moment_on_at_which_it_was_seen() -> None:
    catalog = CATALOG.with_prices([_seen("gpt-4o")])
    before = NOW - timedelta(microseconds=1)
    assert catalog.price("gpt-4o", "portkey", before) == CATALOG.price("gpt-4o", "portkey", before)
    assert catalog.price("gpt-4o", "portkey", NOW) == CHEAP
    assert catalog.candidate("gpt-4o", "portkey", NOW).price == CHEAP


def test_of_several_the_latest_until_then_holds() -> None:
    later = NOW + timedelta(days=2)
    catalog = CATALOG.with_prices([_seen("gpt-4o", at=later, price=CHEAPER), _seen("gpt-4o")])
    assert [catalog.price("gpt-4o", "portkey", at) for at in (NOW, later)] == [CHEAP, CHEAPER]


@pytest.mark.parametrize(("gateway", "moved"), [("portkey", {"portkey", "direct"}), ("openrouter", {"openrouter"})])
def test_each_gateway_has_prices_of_its_own_and_a_direct_call_costs_what_the_vendor_charges(
    gateway: Gateway, moved: set[Gateway]
) -> None:
    catalog = CATALOG.with_prices([_seen("gpt-4o", gateway)])
    gateways: tuple[Gateway, ...] = ("portkey", "openrouter", "direct")
    assert {each for each in gateways if catalog.price("gpt-4o", each, NOW) == CHEAP} == moved


def test_change_that_the_files_date_later_still_comes() -> None:
    """Gemini 3.8 Flash doubles on 2027-01-01, whatever was seen in November."""
    catalog = CATALOG.with_prices([_seen("gemini-3.8-flash")])
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    assert catalog.price("gemini-3.8-flash", "portkey", new_year - timedelta(seconds=1)) == CHEAP
    assert catalog.price("gemini-3.8-flash", "portkey", new_year).input_usd_per_mtok == 1.5


def test_files_that_were_written_after_a_price_was_seen_are_believed() -> None:
    newer = CATALOG["gpt-4o"].model_copy(update={"prices_as_of": "2026-12"})
    catalog = replace(CATALOG, models={**CATALOG.models, "gpt-4o": newer}).with_prices([_seen("gpt-4o")])
    assert catalog.price("gpt-4o", "portkey", datetime(2026, 11, 30, tzinfo=UTC)) == CHEAP
    assert catalog.price("gpt-4o", "portkey", datetime(2026, 12, 1, tzinfo=UTC)) == newer.price


def test_reason_of_the_files_does_not_stand_beside_a_price_that_was_seen() -> None:
    catalog = CATALOG.with_prices([_seen("gemini-3.8-flash")])
    assert CATALOG.price_condition("gemini-3.8-flash", NOW) == "introductory"
    assert catalog.price_condition("gemini-3.8-flash", NOW) is None


def test_price_version_follows_what_was_seen_at_any_gateway() -> None:
    gateways: tuple[Gateway, ...] = ("portkey", "openrouter")
    catalogs = (CATALOG, *(CATALOG.with_prices([_seen("gpt-4o", each)]) for each in gateways))
    assert len({catalog.price_version(NOW) for catalog in catalogs}) == 3
    assert catalogs[1].with_prices([]) == CATALOG


def test_price_of_a_model_that_is_not_in_the_files_is_passed_over() -> None:
    assert CATALOG.with_prices([_seen("gpt-9")]) == CATALOG
