"""Expected cost: shrunk means by hand, prices that act at once, and unknown that stays unknown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from optimizer.decision.belief import FloatArray
from optimizer.decision.cost import (
    _SHRINKAGE_CALLS,
    START_OUTPUT_TOKENS,
    UsageSums,
    expected_cost,
    input_ratio,
    shrunk_mean,
)

SHAPE = (2, 3)
NOBODY = np.zeros(SHAPE)
UNUSED = UsageSums(NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY)
ROWS, LENGTHS = np.array([0, 1, 1]), np.array([100.0, 1000.0, 10_000.0])
seeds = st.integers(0, 2**32 - 1)


def some_usage(seed: int) -> UsageSums:
    rng = np.random.default_rng(seed)
    n = rng.poisson(4.0, SHAPE).astype(float)
    context, inputs, outputs = (n * rng.uniform(50.0, 2000.0, SHAPE) for _ in range(3))
    return UsageSums(n, context, inputs, outputs, n, n * rng.uniform(1e-5, 1e-2, SHAPE))


def test_a_mean_counts_half_at_the_shrinkage() -> None:
    """One model of two has k calls of x each; s is the start, worth one call.

    all = (s + kx)/(1 + k); its model is half of that and half x, its cell half its model and half x; the other model
    stays at the mean over all.
    """
    k, x, s = _SHRINKAGE_CALLS, 1200.0, 300.0
    everything = (s + k * x) / (1.0 + k)
    model = (everything + x) / 2.0
    found = shrunk_mean(np.array([[k, 0.0]]), np.array([[k * x, 0.0]]), s)
    assert_allclose(found, [[(model + x) / 2.0, everything]])


@given(seeds)
def test_a_shrunk_mean_lies_between_start_and_the_extremes(seed: int) -> None:
    usage = some_usage(seed)
    raw = usage.output_tokens[usage.n > 0] / usage.n[usage.n > 0]
    found = shrunk_mean(usage.n, usage.output_tokens, START_OUTPUT_TOKENS)
    assert found.min() >= min([START_OUTPUT_TOKENS, *raw]) - 1e-9
    assert found.max() <= max([START_OUTPUT_TOKENS, *raw]) + 1e-9


def test_many_calls_speak_for_themselves() -> None:
    n = np.full(SHAPE, 1e6)
    means = np.arange(1.0, 7.0).reshape(SHAPE)
    assert_allclose(shrunk_mean(n, n * means, START_OUTPUT_TOKENS), means, rtol=1e-4)


def test_first_call_costs_the_list_price_of_its_length_and_the_starting_output() -> None:
    """1000 tokens at 2e-6 and S at 1e-5 dollars: 0.002 + S·1e-5."""
    found = expected_cost(UNUSED, ROWS, LENGTHS, np.full(3, 2e-6), np.full(3, 1e-5))
    assert_allclose(found[1], 0.002 + START_OUTPUT_TOKENS * 1e-5)


@given(seeds, st.floats(0.01, 100.0))
def test_a_price_change_acts_at_once_and_in_proportion(seed: int, factor: float) -> None:
    usage, prices = some_usage(seed), np.array([1e-6, 2e-6, 5e-6])
    before = expected_cost(usage, ROWS, LENGTHS, prices, 4.0 * prices)
    after = expected_cost(usage, ROWS, LENGTHS, factor * prices, 4.0 * factor * prices)
    assert_allclose(after, factor * before)


def test_output_that_the_caller_expects_counts_instead_of_the_past() -> None:
    """100 tokens at 2e-6 and 50 at 1e-5 dollars: .0002 + .0005."""
    found = expected_cost(UNUSED, ROWS, LENGTHS, np.full(3, 2e-6), np.full(3, 1e-5), output_tokens=50.0)
    assert_allclose(found[0], 0.0007)


def test_free_is_zero_and_unknown_is_not() -> None:
    found = expected_cost(UNUSED, ROWS, LENGTHS, np.array([0.0, np.nan, 1e-6]), np.array([0.0, 0.0, 1e-6]))
    assert_array_equal(found[:, 0], 0.0)
    assert np.isnan(found[:, 1]).all()
    assert (found[:, 2] > 0.0).all()


@pytest.mark.parametrize("unknown", [(np.nan, 1e-6), (1e-6, np.nan)])
def test_half_a_price_is_unknown(unknown: tuple[float, float]) -> None:
    found = expected_cost(UNUSED, ROWS, LENGTHS, np.full(3, unknown[0]), np.full(3, unknown[1]))
    assert np.isnan(found).all()


def test_what_was_paid_stands_in_for_an_unknown_price() -> None:
    """The mean over all is p, so a model paid p a call is expected at p whatever the shrinkage."""
    n_paid = np.array([[0.0, 8.0, 0.0], [0.0, 2.0, 0.0]])
    usage = UsageSums(NOBODY, NOBODY, NOBODY, NOBODY, n_paid, n_paid * 0.003)
    prices = np.array([1e-6, np.nan, 1e-6])
    found = expected_cost(usage, ROWS, LENGTHS, prices, prices)
    assert_allclose(found[:, 1], 0.003)
    assert_allclose(found[:, 0], expected_cost(UNUSED, ROWS, LENGTHS, prices, prices)[:, 0])


def test_input_ratio_by_hand() -> None:
    """All requests are of 100 tokens; the second model counts 120 for each of its k, so (100k + 120k)/(100k + 100k)."""
    k = _SHRINKAGE_CALLS
    n = np.array([[0.0, k, 0.0], [0.0, 0.0, 0.0]])
    usage = UsageSums(n, 100.0 * n, 120.0 * n, NOBODY, NOBODY, NOBODY)
    assert_allclose(input_ratio(usage), [1.0, 1.1, 1.0])


def test_input_ratio_is_one_before_any_call() -> None:
    assert_array_equal(input_ratio(UNUSED), 1.0)


@given(seeds)
def test_input_ratio_lies_between_one_and_the_models_own(seed: int) -> None:
    usage = some_usage(seed)
    called = usage.n.sum(axis=0) > 0
    own: FloatArray = usage.input_tokens.sum(axis=0)[called] / usage.context_tokens.sum(axis=0)[called]
    found = input_ratio(usage)[called]
    assert (np.minimum(own, 1.0) - 1e-9 <= found).all()
    assert (found <= np.maximum(own, 1.0) + 1e-9).all()
