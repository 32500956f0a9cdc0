"""Savings by hand, and against a simulated day on which every model's cost of every call is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from optimizer.analysis import savings
from optimizer.analysis.savings import Saving
from optimizer.domain import NANO_USD, Price
from optimizer.simulation.traffic import Arrival
from optimizer.simulation.traits import generator
from optimizer.simulation.world import World
from tests.analysis.one_by_one import ServedCall, in_columns
from tests.simulation.day import a_day

DEAR = Price(1.0, 10.0)  # dollars per million tokens
CALL = ServedCall("chat", "cheap", "dear", DEAR, input_tokens=1_000, output_tokens=100, paid_usd=0.0005)
OWN = replace(CALL, model_id="dear", paid_usd=0.003)


def priced_counterfactual(calls, **options) -> Saving:
    return savings.priced_counterfactual(in_columns(calls), **options)


def experiment(calls) -> Saving | None:
    return savings.experiment(in_columns(calls))


def test_baseline_is_priced_at_the_output_of_the_served_call_where_it_never_served() -> None:
    """1,000 input at $1 and 100 output at $10 per million are $0.002, of which $0.0005 was paid, twice."""
    saving = priced_counterfactual([CALL, CALL])
    assert (saving.n_calls, saving.n_unknown) == (2, 0)
    assert saving.baseline_usd == pytest.approx(0.004)
    assert saving.paid_usd == pytest.approx(0.001)
    assert saving.saved_usd == pytest.approx(0.003)
    assert saving.share == pytest.approx(0.75)
    assert "answer of the model that served" in saving.method
    assert "dear in chat" in saving.method


def test_baselines_own_mean_length_is_used_where_it_served_enough() -> None:
    """It wrote 100 and 300 tokens: 1,000·$1 + 200·$10 per million = $0.003, less $0.0005; its own saved nothing."""
    own = [replace(OWN, output_tokens=100), replace(OWN, output_tokens=300)]
    saving = priced_counterfactual([CALL, *own], min_served=2)
    assert saving.saved_usd == pytest.approx(0.0025)
    assert saving.paid_usd == pytest.approx(0.0065)
    assert "own mean output" in saving.method
    assert priced_counterfactual([CALL, *own], min_served=3).saved_usd == pytest.approx(0.0015)


def test_own_length_of_another_use_case_says_nothing() -> None:
    own = [replace(OWN, use_case="research", output_tokens=900)] * 5
    assert priced_counterfactual([CALL, *own], min_served=2).saved_usd == pytest.approx(0.0015)


def test_uncertain_length_of_the_baseline_widens_the_limits() -> None:
    """All calls save alike given the length, so all of the error is the length's: $10e-6 · 40 calls · s/√20, about."""
    lengths = np.random.default_rng(0).integers(50, 350, 20)
    own = [replace(OWN, output_tokens=int(n)) for n in lengths]
    served = [CALL] * 40
    saving = priced_counterfactual([*served, *own], min_served=20)
    alone = 10e-6 * 40 * stats.sem(lengths)
    assert saving.high_usd - saving.saved_usd > 1.9 * alone


def test_cached_input_is_credited_to_the_baseline_too() -> None:
    price = Price(1.0, 10.0, cached_usd_per_mtok=0.1)
    call = replace(CALL, baseline_price=price, cached_tokens=1_000)
    assert priced_counterfactual([call]).baseline_usd == pytest.approx(0.0001 + 0.001)


@pytest.mark.parametrize(
    "unknown", [{"paid_usd": None}, {"input_tokens": None}, {"output_tokens": None}, {"baseline_price": Price()}]
)
def test_unknown_is_counted_apart_and_never_as_nothing(unknown) -> None:
    saving = priced_counterfactual([CALL, CALL, replace(CALL, **unknown)])
    assert (saving.n_calls, saving.n_unknown) == (2, 1)
    assert saving.saved_usd == pytest.approx(0.003)


def test_no_calls_save_nothing_and_say_nothing() -> None:
    saving = priced_counterfactual([])
    assert (saving.n_calls, saving.saved_usd, saving.low_usd, saving.share) == (0, 0.0, None, None)
    assert experiment([]) is None


def test_dearer_than_the_baseline_is_a_negative_saving() -> None:
    assert priced_counterfactual([replace(CALL, paid_usd=0.005)]).saved_usd == pytest.approx(-0.003)


def test_thoughts_are_not_priced_where_the_baseline_does_not_think() -> None:
    """Of 100 tokens 40 were thoughts: 1,000 input at $1 and 60 output at $10 per million are $0.0016."""
    assert priced_counterfactual([replace(CALL, thought_tokens=40)]).baseline_usd == pytest.approx(0.0016)


def test_sessions_count_as_one() -> None:
    rng = np.random.default_rng(1)
    lengths = np.repeat(rng.integers(50, 350, 40), 10)
    alone = [replace(OWN, output_tokens=int(n)) for n in lengths]
    together = [replace(c, session_id=f"s{i // 10}") for i, c in enumerate(alone)]
    narrow, wide = (priced_counterfactual([*own, *[CALL] * 20_000]) for own in (alone, together))
    assert narrow.saved_usd == wide.saved_usd
    assert _width(wide) == pytest.approx(np.sqrt(10) * _width(narrow), rel=0.08)


def test_what_was_paid_leaves_no_doubt() -> None:
    """Calls cost as they may: it is known, and so is what the baseline's list asks for answers of known length."""
    paid = np.random.default_rng(1).exponential(0.001, 30)
    saving = priced_counterfactual([replace(CALL, paid_usd=float(usd)) for usd in paid], spread=0.0)
    assert saving.low_usd == saving.high_usd == pytest.approx(saving.saved_usd)


def test_assumed_length_is_as_uncertain_as_models_lie_apart() -> None:
    """Output of 10,000 calls is $10, uncertain by 0.3 with 4 degrees of freedom; one by one they hardly matter."""
    saving = priced_counterfactual([CALL] * 10_000, min_served=10_001)
    assert saving.high_usd - saving.saved_usd == pytest.approx(stats.t.ppf(0.975, 4) * 0.3 * 10, rel=0.001)


def test_mix_of_use_cases_is_given() -> None:
    """Dear and cheap use cases whose calls are all alike inside leave no doubt about the sum."""
    dear = replace(CALL, use_case="research", input_tokens=100_000)
    saving = priced_counterfactual([CALL] * 10 + [dear] * 12, spread=0.0)
    assert saving.low_usd == pytest.approx(saving.high_usd) == pytest.approx(saving.saved_usd)
    assert saving.share_low == pytest.approx(saving.share)


def test_experiment_is_a_difference_of_means_times_the_number_of_the_others() -> None:
    """The others' own mean is unknown too: 25 held-out calls speak for it with their s·√(1/25 + 1/400).

    How sure s itself is follows from the fourth powers.
    """
    rng = np.random.default_rng(2)
    held, rest = rng.exponential(0.004, 25), rng.exponential(0.001, 400)
    calls = [replace(OWN, paid_usd=float(p), held_out=True) for p in held]
    calls += [replace(CALL, paid_usd=float(p)) for p in rest]
    saving = experiment(calls)
    squares = (held - held.mean()) ** 2
    freedom = 2 * squares.sum() ** 2 / (squares**2).sum() - 1
    half = stats.t.ppf(0.975, freedom) * held.std(ddof=1) * np.sqrt(1 / 25 + 1 / 400)
    assert saving.high_usd - saving.saved_usd == pytest.approx(400 * half)
    assert saving.saved_usd == pytest.approx(400 * (held.mean() - rest.mean()))
    assert saving.paid_usd == pytest.approx(rest.sum())
    assert saving.n_calls == 400
    assert saving.share == pytest.approx(1 - rest.mean() / held.mean())
    assert saving.share_low < saving.share < saving.share_high


def test_experiment_needs_enough_on_both_sides_of_every_use_case() -> None:
    held, rest = [replace(OWN, held_out=True)] * 20, [CALL] * 20
    assert experiment(held + rest) is not None
    assert experiment(held[1:] + rest) is None
    assert experiment(held + rest[1:]) is None
    assert experiment([*held, *rest, replace(CALL, use_case="research")]) is None
    assert experiment([replace(c, session_id="one") for c in held] + rest) is None


def test_priced_limits_cover_the_true_saving_of_a_simulated_day() -> None:
    """40 seeds: the saving had the incumbent answered every call, known to the world; 34 hits are 85%."""
    hits = [_covers(priced_counterfactual, day, _served(day, held_out=0.0)) for day in _days()]
    assert sum(hits) >= 34


def test_experiment_covers_the_true_saving_of_a_simulated_day() -> None:
    hits = [_covers(experiment, day, _served(day, held_out=0.5)) for day in _days(n_calls=2_400)]
    assert sum(hits) >= 34


Pair = tuple[Arrival, ServedCall]


def _days(n_calls: int = 800):
    return (a_day(seed, n_calls) for seed in range(40))


def _served(day: World, *, held_out: float) -> list[Pair]:
    """Serve a day by lot, session by session: half by the incumbent, else by any candidate; and hold some out."""
    rng, found, chosen = generator(day.seed, "policy"), [], {}
    for arrival in day.arrivals:
        route, unit = day.routes[arrival.use_case], arrival.session_id or arrival.prompt
        if unit not in chosen:
            held = bool(rng.random() < held_out)
            any_one = route.candidates[rng.integers(len(route.candidates))].model_id
            chosen[unit] = (held, route.incumbent if held or rng.random() < 0.5 else any_one)
        held, model = chosen[unit]
        answer = day.answer(arrival, model)
        if answer.error_kind is None:
            thinks = day.catalog[route.incumbent].is_reasoning is not False
            usage, price = answer.usage, day.price(arrival.use_case, route.incumbent, arrival.at)
            call = ServedCall(
                arrival.use_case,
                model,
                baseline=route.incumbent,
                baseline_price=price,
                input_tokens=usage and usage.input_tokens,
                output_tokens=usage and usage.output_tokens,
                cached_tokens=usage.cached_tokens if usage else 0,
                thought_tokens=0 if usage is None or thinks else usage.reasoning_tokens,
                paid_usd=None if answer.cost_nano_usd is None else answer.cost_nano_usd / NANO_USD,
                session_id=arrival.session_id,
                held_out=held,
            )
            found.append((arrival, call))
    return found


def _true_usd(day: World, pair: Pair) -> float:
    arrival, call = pair
    return day.cost_usd(arrival, call.baseline) - day.cost_usd(arrival, call.model_id)


def _covers(method, day: World, pairs: list[Pair]) -> bool:
    saving = method([call for _, call in pairs])
    truth = sum(_true_usd(day, pair) for pair in pairs if pair[1].paid_usd is not None and not pair[1].held_out)
    assert saving.n_unknown == sum(call.paid_usd is None for _, call in pairs)
    return saving.low_usd <= truth <= saving.high_usd


def _width(saving: Saving) -> float:
    return saving.high_usd - saving.low_usd
