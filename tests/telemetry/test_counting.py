"""What is counted adds up, under labels that nobody outside can multiply."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry

from optimizer.calling.checks import CHECKS as FREE
from optimizer.catalog import load_catalog
from optimizer.domain import Usage
from optimizer.errors import RateLimited
from optimizer.ledger.health import BreakerState
from optimizer.settings import load_settings
from optimizer.telemetry import CHECKS, OTHER, Instruments, Telemetry, open_telemetry, process_instruments
from optimizer.telemetry.counting import STATES
from tests.ledger.factory import NOON, make_attempt, make_decision, make_rating, make_selection

CATALOG = load_catalog()
SETTINGS = load_settings(None, {})
ASKED = {"provider": "portkey", "model": "gpt-4o"}
Value = Callable[..., float | None]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry: CollectorRegistry) -> Telemetry:
    return Telemetry(Instruments(registry), SETTINGS, CATALOG)


@pytest.fixture
def value(registry: CollectorRegistry) -> Value:
    return lambda name, **labels: registry.get_sample_value(name, labels)


def test_an_attempt_that_served_counts_its_tokens_dollars_and_seconds(telemetry: Telemetry, value: Value) -> None:
    """1200 tokens in, 200 of them cached, 300 out, 0.00036 dollars, 812.5 ms, 95 ms to the first token."""
    telemetry.attempted(make_attempt("a", model_id="gpt-4o"), "chat")
    assert value("llm_requests_total", **ASKED, use_case="chat") == 1.0
    tokens = {kind: value("llm_tokens_used_total", **ASKED, type=kind) for kind in ("input", "cached", "output")}
    assert tokens == {"input": 1200.0, "cached": 200.0, "output": 300.0}
    assert value("llm_tokens_used_total", **ASKED, type="reasoning") is None
    assert value("llm_cost_usd_total", **ASKED) == 0.00036
    assert value("llm_request_duration_seconds_sum", **ASKED) == 0.8125
    assert value("llm_time_to_first_token_seconds_sum", **ASKED) == 0.095
    assert value("llm_errors_total", **ASKED, error_type="timeout") is None


def test_a_failed_attempt_counts_its_kind_and_an_unknown_cost(telemetry: Telemetry, value: Value) -> None:
    telemetry.attempted(make_attempt("a", model_id="gpt-4o", failed=True), "chat")
    assert value("llm_requests_total", **ASKED, use_case="chat") == 1.0
    assert value("llm_errors_total", **ASKED, error_type="timeout") == 1.0
    assert value("llm_unknown_cost_total", **ASKED) == 1.0
    assert value("llm_cost_usd_total", **ASKED) is None


def test_a_reused_reply_is_no_request(telemetry: Telemetry, value: Value) -> None:
    telemetry.attempted(replace(make_attempt("a", model_id="gpt-4o"), reused="cache"), "chat")
    assert value("llm_reused_replies_total", use_case="chat", reused="cache") == 1.0
    assert value("llm_requests_total", **ASKED, use_case="chat") is None


def test_a_decision_shows_its_chance_and_its_price(telemetry: Telemetry, value: Value) -> None:
    """Two models at even chances, λ = 12.5."""
    telemetry.chosen(make_selection("a"))
    assert value("llm_calls_total", use_case="chat", overridden_by="none") == 1.0
    assert value("llm_propensity_sum", use_case="chat") == 0.5
    assert value("llm_lambda", use_case="chat") == 12.5
    telemetry.chosen(make_selection("b", decision=replace(make_decision(), price=7.0)))
    assert value("llm_lambda", use_case="chat") == 7.0


def test_what_overrode_a_draw_is_counted_without_the_name_of_a_rule(telemetry: Telemetry, value: Value) -> None:
    for name in ("rule:night", "rule:day", "flag:routing", "something"):
        telemetry.chosen(replace(make_selection("a"), overridden_by=name))
    counts = {name: value("llm_calls_total", use_case="chat", overridden_by=name) for name in ("rule", "flag", OTHER)}
    assert counts == {"rule": 2.0, "flag": 1.0, OTHER: 1.0}


def test_ratings_count_by_kind_of_rater_and_the_quality_adds_up(telemetry: Telemetry, value: Value) -> None:
    for rating in (
        make_rating("a", 0.25, rater="user"),
        make_rating("a", 0.5, rater="judge:gpt-4o"),
        make_rating("a", 1.0, metric="valid_json", rater="check"),
        make_rating("a", 1.0, rater="ann@example.com"),
        make_rating("a", None, rater="user"),
    ):
        telemetry.rated(rating, "chat", "gpt-4o")
    n = {
        rater: value("llm_ratings_total", use_case="chat", metric="quality", rater=rater) for rater in ("user", "judge")
    }
    assert n == {"user": 1.0, "judge": 1.0}
    assert value("llm_ratings_total", use_case="chat", metric="valid_json", rater="check") == 1.0
    assert value("llm_ratings_total", use_case="chat", metric="quality", rater=OTHER) == 1.0
    assert value("llm_quality_sum", use_case="chat", model="gpt-4o") == 1.75
    assert value("llm_quality_count", use_case="chat", model="gpt-4o") == 3.0


def test_breakers_show_their_state(telemetry: Telemetry, value: Value) -> None:
    for state in ("open", "half_open"):
        telemetry.broke("openrouter", "*", state)
    assert value("llm_breaker_state", provider="openrouter", model="*") == 1.0


def test_every_state_of_a_breaker_has_a_number() -> None:
    assert set(get_args(BreakerState.__annotations__["state"])) == set(STATES)


def test_limits_show_what_is_used_and_left_but_no_tenant_whom_the_settings_do_not_name(
    telemetry: Telemetry, registry: CollectorRegistry, value: Value
) -> None:
    telemetry.spent("everything", "day", 3.0, 7.0)
    telemetry.spent("tenant secretive", "day", 1.0, 1.0)
    assert value("llm_budget_used_usd", limit="everything", window="day") == 3.0
    assert value("llm_budget_left_usd", limit="everything", window="day") == 7.0
    assert "secretive" not in str(list(registry.collect()))


def test_refreshes_and_the_journal_are_shown(telemetry: Telemetry, value: Value) -> None:
    telemetry.refreshed(NOON, 12)
    assert value("llm_refresh_timestamp_seconds") == NOON.timestamp()
    assert value("llm_journal_length") == 12.0


def test_words_that_nobody_knows_are_counted_as_other(telemetry: Telemetry, registry: CollectorRegistry) -> None:
    """A thousand invented names make one series of each kind."""
    for i in range(1_000):
        attempt = replace(make_attempt("a", model_id=f"model-{i}", failed=True), gateway=f"g-{i}", error_kind=f"e-{i}")
        telemetry.attempted(attempt, f"use-case-{i}")
        telemetry.rated(make_rating("a", metric=f"m-{i}", rater=f"r-{i}"), f"use-case-{i}", f"model-{i}")
        telemetry.broke(f"g-{i}", f"m-{i}", "open")
        telemetry.chosen(replace(make_selection("a", decision=make_decision(f"use-case-{i}"))))
    samples = [sample for metric in registry.collect() for sample in metric.samples]
    assert len(samples) < 200
    labels = {label for sample in samples for name, label in sample.labels.items() if name not in ("le", "type")}
    assert labels == {OTHER, "none"}


def test_the_kinds_of_our_own_errors_are_words_of_their_own(telemetry: Telemetry, value: Value) -> None:
    for kind in (RateLimited.kind, "cancelled", "context_length"):
        telemetry.attempted(replace(make_attempt("a", model_id="gpt-4o", failed=True), error_kind=kind), "chat")
        assert value("llm_errors_total", **ASKED, error_type=kind) == 1.0


def test_the_free_checks_are_those_that_replies_are_put_to() -> None:
    assert CHECKS == FREE


def test_reasoning_tokens_have_a_series_where_there_are_any(telemetry: Telemetry, value: Value) -> None:
    usage = Usage(input_tokens=1, output_tokens=9, reasoning_tokens=7)
    telemetry.attempted(replace(make_attempt("a", model_id="gpt-4o"), usage=usage), "chat")
    assert value("llm_tokens_used_total", **ASKED, type="reasoning") == 7.0


@pytest.mark.parametrize(("flag", "counts"), [("true", True), ("false", False)])
def test_monitoring_can_be_switched_off(registry: CollectorRegistry, flag: str, counts: bool) -> None:
    settings = load_settings(None, {"LLM_MONITORING_ENABLED": flag})
    made = open_telemetry(settings, CATALOG, lambda: Instruments(registry))
    assert (made is not None) == counts
    assert bool(list(registry.collect())) == counts


def test_without_the_package_there_is_silently_no_telemetry(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert open_telemetry(SETTINGS, CATALOG, process_instruments.__wrapped__) is None
    assert caplog.records == []


def test_names_that_the_application_has_taken_leave_us_without_metrics_not_without_calls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert process_instruments() is not None  # the names are taken now
    assert process_instruments.__wrapped__() is None
    assert "There are no metrics" in caplog.text
