"""What the optimizer is told is counted on its way, and counting never fails a call."""

import logging
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from optimizer.catalog import load_catalog
from optimizer.engine import Optimizer
from optimizer.engine.recent import Recent
from optimizer.engine.told import Told
from optimizer.ledger.health import BreakerState
from optimizer.selection import Selection
from optimizer.settings import load_settings
from optimizer.telemetry import Instruments, Telemetry, process_instruments
from tests.ledger.factory import NOON, make_attempt, make_rating, make_selection

Value = Callable[..., float | None]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def told(registry: CollectorRegistry) -> Told:
    recent: Recent[str, Selection] = Recent()
    recent.keep("a", make_selection("a"))
    return Told(Telemetry(Instruments(registry), load_settings(None, {}), load_catalog()), recent)


def test_facts_are_counted_under_the_use_case_of_their_call(told: Told, registry: CollectorRegistry) -> None:
    breaker = BreakerState("portkey", "*", "open", "server", 3, NOON)
    told.facts([make_selection("a"), make_attempt("a"), make_rating("a"), breaker])
    labels = {"provider": "portkey", "model": "other", "use_case": "chat"}
    assert registry.get_sample_value("llm_requests_total", labels) == 1.0
    assert registry.get_sample_value("llm_quality_count", {"use_case": "chat", "model": "other"}) == 1.0
    assert registry.get_sample_value("llm_breaker_state", {"provider": "portkey", "model": "*"}) == 2.0


def test_facts_of_a_call_long_ago_are_counted_as_others(told: Told, registry: CollectorRegistry) -> None:
    told.facts([make_rating("forgotten", rater="user")])
    labels = {"use_case": "other", "metric": "quality", "rater": "user"}
    assert registry.get_sample_value("llm_ratings_total", labels) == 1.0


def test_what_cannot_be_counted_is_complained_of_once(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    broken = make_attempt("a", model_id=["no", "name"])  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, logger="optimizer"):
        told.facts([broken])
        told.facts([broken])
    assert [record.message for record in caplog.records] == ["Metrics are not whole: TypeError"]


def test_without_telemetry_nothing_is_counted() -> None:
    quiet = Told(None, Recent())
    quiet.facts([make_attempt("a"), make_rating("a")])


def test_limits_are_shown_when_choices_are_paced_by_them(opened: Callable[..., Optimizer]) -> None:
    instruments = process_instruments()
    assert instruments is not None
    opt = opened("routing: {cost_limits: {daily_usd: 2.0}}")
    opt.refresh()
    assert instruments.refreshed.collect()[0].samples[0].value == opt.clock().timestamp()
    (gauge,) = instruments.left.collect()
    left = {(each.labels["limit"], each.labels["window"]): each.value for each in gauge.samples}
    assert left["everything", "day"] == 2.0


def test_the_optimizer_counts_what_it_decides_and_records(opened: Callable[..., Optimizer]) -> None:
    instruments = process_instruments()
    assert instruments is not None
    opt = opened()
    before = _count(instruments)
    selection = opt.select_optimal_model("chat", 900)
    opt.record(selection, latency_ms=600.0)
    opt.rate(selection.call_id, 1.0)
    assert _count(instruments) == before + 3.0


def _count(instruments: Instruments) -> float:
    counters = instruments.calls, instruments.requests, instruments.ratings
    samples = (sample for counter in counters for metric in counter.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))
