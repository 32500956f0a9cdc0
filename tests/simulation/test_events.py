"""The day's price cut is data that the optimizer can be given; gates are added where replies have a schema."""

from datetime import timedelta

import pytest

from optimizer.routes import effective_routes
from optimizer.settings import load_settings
from optimizer.simulation.events import CHEAPER, CHEAPER_BY, with_gates, with_price_cut
from tests.simulation.day import CATALOG, SETTINGS, START, clock

TOLD = with_price_cut(CATALOG, START)


@pytest.mark.parametrize(("hour", "factor"), [(0, 1.0), (11.99, 1.0), (12, 1 - CHEAPER_BY), (23.99, 1 - CHEAPER_BY)])
def test_price_falls_at_noon(hour: float, factor: float) -> None:
    before, found = (catalog.price(CHEAPER, "portkey", clock(hour)) for catalog in (CATALOG, TOLD))
    assert found.input_usd_per_mtok == pytest.approx(factor * before.input_usd_per_mtok)
    assert found.output_usd_per_mtok == pytest.approx(factor * before.output_usd_per_mtok)
    assert found.cached_usd_per_mtok == pytest.approx(factor * before.cached_usd_per_mtok)


def test_cut_is_for_good_and_changes_nothing_else() -> None:
    later = START + timedelta(days=40)
    assert TOLD.price(CHEAPER, "portkey", later) == TOLD.price(CHEAPER, "portkey", clock(12))
    yesterday = START - timedelta(days=1)
    assert TOLD.price(CHEAPER, "portkey", yesterday) == CATALOG.price(CHEAPER, "portkey", yesterday)
    others = [key for key in CATALOG.models if key != CHEAPER]
    assert all(TOLD.price(k, "portkey", clock(13)) == CATALOG.price(k, "portkey", clock(13)) for k in others)


def test_routes_see_the_cut() -> None:
    versions = {effective_routes(SETTINGS, TOLD, clock(hour)).price_version for hour in (11.5, 12.5)}
    assert len(versions) == 2


def test_gates_are_added_once() -> None:
    settings = load_settings(None, {})
    gated = with_gates(settings)
    assert gated.use_cases["quick_responses"].metrics.gates == ("valid_schema",)
    assert gated.use_cases["chat"] == settings.use_cases["chat"]
    assert with_gates(gated) == gated
    assert settings.use_cases["quick_responses"].metrics.gates == ()


def test_catalogue_without_the_model_has_no_cut() -> None:
    models = {key: model for key, model in CATALOG.models.items() if key != CHEAPER}
    fewer = type(CATALOG)(models, {})
    assert with_price_cut(fewer, START) is fewer
