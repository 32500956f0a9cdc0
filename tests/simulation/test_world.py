"""The simulated day is the same for everyone, its truth can be computed, and its events can be seen in it."""

from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from scipy import stats

from optimizer.errors import InvalidRequest, UnknownModel
from optimizer.simulation.events import CHEAPER, CHEAPER_BY, SHAKY, WORSE
from optimizer.simulation.world import World
from tests.simulation.day import CATALOG, ROUTES, START, a_day, clock

DAY = a_day(1, 3_000)


def _models(use_case: str) -> list[str]:
    return [candidate.model_id for candidate in DAY.routes[use_case].candidates]


def test_equal_seeds_give_equal_days_and_others_give_others() -> None:
    assert a_day(1, 3_000).arrivals == DAY.arrivals
    assert a_day(2, 3_000).arrivals != DAY.arrivals


def test_nothing_depends_on_who_asked_before() -> None:
    fresh = a_day(1, 3_000)
    some = [arrival for arrival in DAY.arrivals if arrival.prompt % 37 == 0]
    first = {(a.prompt, m): DAY.answer(a, m) for a in some for m in _models(a.use_case)}
    for arrival in reversed(some):
        for model in reversed(_models(arrival.use_case)):
            answer = fresh.answer(arrival, model)
            assert answer == first[arrival.prompt, model]
            assert answer.quality == first[arrival.prompt, model].quality
            assert fresh.ratings(arrival, answer) == DAY.ratings(arrival, answer)


def test_same_prompt_gets_the_same_answer_at_any_hour_but_for_its_price() -> None:
    arrival = next(a for a in DAY.arrivals if a.use_case == "research")
    morning, evening = (DAY.answer(arrival, CHEAPER, clock(hour)) for hour in (9, 21))
    assert (morning.usage, morning.quality, morning.latency_ms) == (evening.usage, evening.quality, evening.latency_ms)
    assert evening.cost_nano_usd == pytest.approx((1 - CHEAPER_BY) * morning.cost_nano_usd, abs=1)


def test_cost_is_price_times_tokens_in_nano_dollars() -> None:
    arrival = next(a for a in DAY.arrivals if a.cached_tokens and a.use_case == "code_generation")
    answer = DAY.answer(arrival, "gpt-4o")
    fresh = arrival.context_tokens - arrival.cached_tokens
    expected = 2_500 * fresh + 1_250 * arrival.cached_tokens + 10_000 * answer.usage.output_tokens
    assert answer.cost_nano_usd == expected
    assert DAY.cost_usd(arrival, "gpt-4o") == pytest.approx(expected / 1e9)


def test_one_model_silently_gets_worse_at_six() -> None:
    for use_case in DAY.routes:
        for model in _models(use_case):
            before, after = (DAY.true_quality(use_case, model, clock(hour)) for hour in (17.99, 18))
            assert before - after > 0.25 if model == WORSE else before == after
        costs = [DAY.true_cost_usd(use_case, WORSE, clock(hour)) for hour in (17.99, 18)]
        assert costs[0] == costs[1]


def test_one_model_fails_for_half_an_hour() -> None:
    def failures(hour: float) -> float:
        return float(np.mean([DAY.answer(a, SHAKY, clock(hour)).error_kind is not None for a in DAY.arrivals]))

    assert failures(14.49) < 0.02
    assert 0.4 < failures(14.5) < 0.5
    assert failures(15) < 0.02


def test_asking_again_is_another_chance_of_the_same_answer() -> None:
    first, second = ([DAY.answer(a, SHAKY, clock(14.6), retry=n) for a in DAY.arrivals] for n in (0, 1))
    both = [(a, b) for a, b in zip(first, second, strict=True) if a.error_kind is None and b.error_kind is None]
    assert all(a == b for a, b in both)
    again = [b.error_kind is not None for a, b in zip(first, second, strict=True) if a.error_kind is not None]
    assert 0.3 < np.mean(again) < 0.6


def test_failures_are_free_where_refused_and_of_unknown_cost_where_timed_out() -> None:
    failed = [answer for a in DAY.arrivals if (answer := DAY.answer(a, SHAKY, clock(14.6))).error_kind]
    assert Counter(a.error_kind for a in failed).keys() == {"rate_limit", "server_error", "timeout"}
    for answer in failed:
        assert answer.usage is None
        assert answer.quality is None
        assert answer.cost_nano_usd == (None if answer.error_kind == "timeout" else 0)


def test_some_replies_come_without_usage_and_their_cost_is_unknown() -> None:
    answers = [DAY.answer(a, "gpt-4o") for a in DAY.arrivals]
    lost = [a for a in answers if a.error_kind is None and a.usage is None]
    assert 0 < len(lost) < 0.02 * len(answers)
    assert {a.cost_nano_usd for a in lost} == {None}


def test_models_find_the_same_prompts_hard() -> None:
    for use_case in DAY.routes:
        first, second, *_ = _models(use_case)
        pairs = [
            (x.quality, y.quality)
            for a in DAY.arrivals
            if a.use_case == use_case
            and (x := DAY.answer(a, first)).quality is not None
            and (y := DAY.answer(a, second)).quality is not None
        ]
        assert np.corrcoef(np.array(pairs).T)[0, 1] > 0.15


def test_quality_is_graded() -> None:
    values = [q for a in DAY.arrivals if (q := DAY.answer(a, "claude-sonnet-5").quality) is not None]
    assert 0.0 <= min(values) <= max(values) <= 1.0
    assert len(set(values)) == 9
    assert 0.5 < np.mean(values) < 0.95


def test_benchmarks_tell_something_and_not_everything() -> None:
    """Over 12 seeds and seven use cases, figures and truth correlate by rank at .25 to .85 on average."""
    ranks, wrong = [], 0
    for seed in range(12):
        day = a_day(seed, 1_000)
        for name, route in day.routes.items():
            models = list(route.prior_means)
            truth = [day.true_quality(name, model, clock(9)) for model in models]
            priors = list(route.prior_means.values())
            ranks.append(stats.spearmanr(priors, truth).statistic)
            wrong += int(np.argmax(priors) != np.argmax(truth))
    assert 0.25 < np.mean(ranks) < 0.85
    assert wrong > 20


def test_truth_is_the_mean_over_the_days_prompts() -> None:
    mine = [a for a in DAY.arrivals if a.use_case == "quick_responses"]
    at = clock(10)
    answers = [DAY.answer(a, "gpt-6-luna", at) for a in mine]
    known = [a.quality for a in answers if a.quality is not None]
    assert DAY.true_quality("quick_responses", "gpt-6-luna", at) == pytest.approx(np.mean(known), abs=0.02)
    costs = [a.cost_nano_usd / 1e9 for a in answers if a.usage is not None]
    assert DAY.true_cost_usd("quick_responses", "gpt-6-luna", at) == pytest.approx(np.mean(costs), rel=0.02)


def test_latency_begins_with_the_first_token_and_has_a_tail() -> None:
    answers = [DAY.answer(arrival, "gpt-5.4-nano") for arrival in DAY.arrivals if arrival.use_case == "chat"]
    served = [answer for answer in answers if answer.error_kind is None]
    assert all(0 < answer.ttft_ms <= answer.latency_ms for answer in served)
    ttft = np.array([answer.ttft_ms for answer in served])
    assert np.percentile(ttft, 99) > 4 * np.median(ttft)


def test_output_keeps_to_the_limit_and_includes_the_thinking() -> None:
    for arrival in DAY.arrivals:
        usage = DAY.answer(arrival, "claude-opus-5").usage
        if usage is not None:
            assert 0 <= usage.reasoning_tokens < usage.output_tokens <= DAY.routes[arrival.use_case].settings.max_tokens


def test_retired_baseline_answers_too() -> None:
    arrival = next(a for a in DAY.arrivals if a.use_case == "creative_content")
    assert DAY.cost_usd(arrival, "claude-3-opus") > DAY.cost_usd(arrival, "claude-opus-5")


def test_nonsense_is_refused() -> None:
    with pytest.raises(UnknownModel):
        DAY.answer(DAY.arrivals[0], "gpt-nine")
    with pytest.raises(InvalidRequest, match="midnight"):
        World.day(1, start=START + timedelta(hours=1), n_calls=10, routes=ROUTES, catalog=CATALOG)
    with pytest.raises(InvalidRequest, match="midnight"):
        World.day(1, start=START.replace(tzinfo=None), n_calls=10, routes=ROUTES, catalog=CATALOG)
    with pytest.raises(InvalidRequest, match="n_calls"):
        a_day(1, 0)
    with pytest.raises(InvalidRequest, match="use_case"):
        DAY.true_quality("gardening", "gpt-4o", START)
