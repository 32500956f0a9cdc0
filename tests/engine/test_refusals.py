"""What is wrong is refused by name, with advice, and leaves no trace in the ledger."""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from optimizer.domain import Usage
from optimizer.engine import Optimizer
from optimizer.errors import (
    ContextTooLong,
    InvalidRating,
    InvalidRequest,
    InvalidSettings,
    NoEligibleCandidate,
    OptimizerError,
    QualityUnreachable,
    UnknownCall,
    UnknownMetric,
    UnknownModel,
    UnknownPrice,
    UnknownUseCase,
)
from tests.engine.conftest import Open
from tests.engine.factory import CATALOG, CHEAP, DEAR, MIDDLE, NOON, Clock, contents, pool, teach

UNPRICED, AT_PEAK = "deepseek-v4-flash", NOON - timedelta(hours=4)  # what it costs then was never published


def refused(opt: Optimizer, error: type[OptimizerError], act: Callable[[], object]) -> str:
    """Return the refusal's message, after checking that the ledger is as it was."""
    before = contents(opt)
    with pytest.raises(error) as caught:
        act()
    assert type(caught.value) is error
    assert contents(opt) == before
    return str(caught.value)


def test_unknown_use_case_goes_to_the_default_with_a_warning(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    assert opened().select_optimal_model("poetry").use_case == "chat"
    assert "Unknown use case: it goes to chat" in caplog.text


def test_unknown_use_case_is_refused_without_a_default(opened: Open) -> None:
    opt = opened("default_use_case: null")
    message = refused(opt, UnknownUseCase, lambda: opt.select_optimal_model("poetry"))
    assert message.startswith("use_case: unknown use case 'poetry'; known: ")
    assert "code_generation" in message


@pytest.mark.parametrize("model", ["gpt-9", "claude-opus-5"])
def test_pin_that_is_no_candidate_is_refused(opened: Open, model: str) -> None:
    opt = opened(pool())
    message = refused(opt, UnknownModel, lambda: opt.select_optimal_model("chat", model=model))
    assert message == f"model: unknown model {model!r}; known: {DEAR}, {MIDDLE}, {CHEAP}"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"context_length": -1}, "context_length: "),
        ({"context_length": math.nan}, "context_length: "),
        ({"context_length": "many"}, "context_length: "),
        ({"required_quality": math.nan}, "required_quality: 'nan' is out of range"),
        ({"required_quality": 1.2}, "required_quality: '1.2' is out of range"),
        ({"required_quality": "good"}, "required_quality: 'good' is neither a number in [0, 1] nor a percentage"),
        ({"objective": "cheapest"}, "objective: 'cheapest' is none of "),
        ({"objective": "budget:0"}, "objective: 'budget:0' needs a positive number of dollars"),
        ({"cost_tier": "luxury"}, "cost_tier: "),
        ({"session_id": ""}, "session_id: "),
        ({"tenant": ""}, "tenant: "),
        ({"max_cost_usd": 0.0}, "max_cost_usd: "),
        ({"max_cost_usd": math.inf}, "max_cost_usd: "),
        ({"expected_output_tokens": -5}, "expected_output_tokens: "),
        ({"features": [0.5]}, "features: use case 'chat' has no segments"),
    ],
)
def test_wrong_argument_is_named(opened: Open, asked: dict[str, Any], message: str) -> None:
    opt = opened(pool())
    assert refused(opt, InvalidRequest, lambda: opt.select_optimal_model("chat", **asked)).startswith(message)


def test_context_longer_than_any_window_lists_each_window(opened: Open) -> None:
    opt = opened(pool())
    message = refused(opt, ContextTooLong, lambda: opt.select_optimal_model("chat", 2_000_000))
    for model in (DEAR, MIDDLE, CHEAP):
        window = CATALOG[model].context_window_tokens
        assert f"{model}: its window of {window:,} tokens is too short for 2,000,000" in message
    assert message.endswith("shorten the context or add a candidate with a longer window")


def test_answer_must_fit_into_the_window_too(opened: Open) -> None:
    """All three windows are shorter than 400,001 tokens, prompt and answer together."""
    opt = opened(pool())
    act = lambda: opt.select_optimal_model("chat", 399_990, expected_output_tokens=11)  # noqa: E731
    assert "400,000 tokens is too short for 399,990 and 11 for the answer" in refused(opt, NoEligibleCandidate, act)


def test_need_that_nobody_meets_is_said_model_by_model(opened: Open) -> None:
    opt = opened("use_cases: {chat: {candidates: [gpt-oss-120b]}}")
    message = refused(opt, NoEligibleCandidate, lambda: opt.select_optimal_model("chat", needs_vision=True))
    assert "gpt-oss-120b: no support for images" in message


def test_required_quality_that_nobody_reaches_is_refused(opened: Open) -> None:
    opt = opened(pool())
    for model in (DEAR, MIDDLE, CHEAP):
        teach(opt, model, [0.5, 0.6] * 15)
    message = refused(opt, QualityUnreachable, lambda: opt.select_optimal_model("chat", 1000, required_quality=0.95))
    for model in (DEAR, MIDDLE, CHEAP):
        assert f"{model}: believed at 0." in message
    assert message.endswith("ask for less than 0.95, or add a better candidate")
    assert opt.select_optimal_model("chat", 1000, required_quality=0.5).model_id == CHEAP


@pytest.mark.parametrize("objective", ["value:0.05", "budget:0.001", "average:0.8", "floor:0.8"])
def test_unknown_price_is_refused_where_the_objective_needs_it(opened: Open, clock: Clock, objective: str) -> None:
    clock.now = AT_PEAK
    opt = opened(f"use_cases: {{chat: {{candidates: [{UNPRICED}]}}}}")
    message = refused(opt, UnknownPrice, lambda: opt.select_optimal_model("chat", objective=objective))
    assert f"{UNPRICED}: price unknown" in message
    assert "give the models prices" in message


def test_unknown_price_is_refused_under_a_cap_and_serves_where_cost_plays_no_part(opened: Open, clock: Clock) -> None:
    clock.now = AT_PEAK
    opt = opened(f"use_cases: {{chat: {{candidates: [{UNPRICED}], objective: quality}}}}")
    refused(opt, UnknownPrice, lambda: opt.select_optimal_model("chat", max_cost_usd=1.0))
    selection = opt.select_optimal_model("chat")
    assert (selection.model_id, selection.expected_cost_usd) == (UNPRICED, None)
    assert opt.record(selection, usage={"prompt_tokens": 9, "completion_tokens": 9}).cost_nano_usd is None


def test_cap_below_every_expected_cost_is_refused(opened: Open) -> None:
    opt = opened(pool())
    message = refused(opt, NoEligibleCandidate, lambda: opt.select_optimal_model("chat", 1000, max_cost_usd=1e-5))
    assert f"{CHEAP}: expected to cost $" in message


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.1, "good", None])
def test_rating_that_is_no_number_in_range_is_refused(opened: Open, value: Any) -> None:
    opt = opened(pool())
    call_id = opt.select_optimal_model("chat").call_id
    assert "a number in [0, 1]" in refused(opt, InvalidRating, lambda: opt.rate(call_id, value))


def test_unknown_metric_is_refused_with_those_that_exist(opened: Open) -> None:
    opt = opened(pool("metrics: {others: [tone]}"))
    call_id = opt.select_optimal_model("chat").call_id
    message = refused(opt, UnknownMetric, lambda: opt.rate(call_id, 1.0, metric="tune"))
    assert message == "metric: unknown metric 'tune'; this use case has: quality, tone"


@pytest.mark.parametrize("call_id", ["nobody", "01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90", "", "x' OR '1'='1"])
def test_unknown_call_is_refused(opened: Open, call_id: str) -> None:
    opt = opened(pool())
    opt.select_optimal_model("chat")
    for act in (
        lambda: opt.rate(call_id, 1.0),
        lambda: opt.withdraw(call_id),
        lambda: opt.record(call_id, latency_ms=1.0),
        lambda: opt.call(call_id),
    ):
        assert "in the ledger; is this the database" in refused(opt, UnknownCall, act)


@pytest.mark.parametrize(
    ("came", "field"),
    [
        ({"usage": {"prompt_tokens": -1, "completion_tokens": 2}}, "usage.input_tokens"),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 2.5}}, "usage.output_tokens"),
        ({"usage": {"prompt_tokens": 1}}, "usage.output_tokens"),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt": "hello"}}, "usage.prompt"),
        ({"latency_ms": -1.0}, "latency_ms"),
        ({"latency_ms": math.nan}, "latency_ms"),
        ({"ttft_ms": math.inf}, "ttft_ms"),
        ({"cost_usd": -0.1}, "cost_usd"),
        ({"cost_usd": math.nan}, "cost_usd"),
        ({"error": "the user said: hello"}, "error"),
        ({"error": ""}, "error"),
        ({"cost_usd": 1e300}, "cost_usd"),
        ({"latency_ms": 1e12}, "latency_ms"),
        ({"usage": {"prompt_tokens": 10**18, "completion_tokens": 1}}, "usage.input_tokens"),
        ({"usage": Usage(input_tokens=1, output_tokens=10**8)}, "usage.output_tokens"),
    ],
)
def test_wrong_outcome_is_named(opened: Open, came: dict[str, Any], field: str) -> None:
    opt = opened(pool())
    selection = opt.select_optimal_model("chat")
    assert refused(opt, InvalidRequest, lambda: opt.record(selection, **came)).startswith(f"{field}: ")


def test_model_that_serves_must_be_known(opened: Open) -> None:
    opt = opened(pool())
    selection = opt.select_optimal_model("chat")
    assert "unknown model 'gpt-9'" in refused(opt, UnknownModel, lambda: opt.record(selection, model="gpt-9"))


def test_segmenter_that_is_not_there_is_named_by_its_key(opened: Open) -> None:
    with pytest.raises(InvalidSettings, match=r"use_cases\.chat\.segments: .*none\.json holds no segmenter"):
        opened(pool("segments: none.json"))
