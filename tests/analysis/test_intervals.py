"""Intervals agree with scipy, with arithmetic by hand and with the bootstrap, and cover what they should."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from optimizer.analysis.intervals import (
    clustered_interval,
    combined,
    mean_estimate,
    mean_interval,
    ratio_interval,
    wilson,
)
from optimizer.errors import InvalidRequest

samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


@given(samples, st.sampled_from([0.8, 0.95, 0.99]))
def test_mean_interval_is_students(values: list[float], level: float) -> None:
    error = stats.sem(values)
    if error > 1e-9:
        expected = stats.t.interval(level, len(values) - 1, np.mean(values), error)
        assert_allclose(mean_interval(values, level=level)[1:], expected, rtol=1e-7, atol=1e-7)


@given(samples)
def test_equal_weights_and_lone_clusters_change_nothing(values: list[float]) -> None:
    plain = mean_interval(values)
    assert_allclose(mean_interval(values, [2.5] * len(values)), plain, rtol=1e-7, atol=1e-7)
    assert_allclose(clustered_interval(values, range(len(values))), plain, rtol=1e-7, atol=1e-7)


def test_weighted_mean_by_hand() -> None:
    """Values 0 and 1, weights 1 and 3: mean 3/4, residuals ∓3/4, variance 2·(2·9/16)/16 = 9/64, df 16/10 − 1."""
    value, low, high = mean_interval([0.0, 1.0], [1.0, 3.0])
    assert value == 0.75
    assert high - value == pytest.approx(3 / 8 * stats.t.ppf(0.975, 0.6))
    assert value - low == pytest.approx(high - value)


def test_clustered_mean_by_hand() -> None:
    """Clusters (0, 0) and (1, 1): mean 1/2, residual sums −1 and 1, variance 2·2/16 = 1/4, one degree of freedom."""
    value, low, high = clustered_interval([0.0, 0.0, 1.0, 1.0], ["a", "a", "b", "b"])
    assert value == 0.5
    assert high == pytest.approx(0.5 + 0.5 * stats.t.ppf(0.975, 1))
    assert low == pytest.approx(0.5 - 0.5 * stats.t.ppf(0.975, 1))


def test_repeating_every_value_in_its_cluster_teaches_nothing() -> None:
    values = np.random.default_rng(0).normal(size=20)
    repeated = clustered_interval(np.repeat(values, 5), np.repeat(np.arange(20), 5).tolist())
    assert_allclose(repeated, mean_interval(values))


def test_ratio_error_agrees_with_the_bootstrap() -> None:
    """The standard error is within 5% of that of 4,000 resamples of whole clusters."""
    rng = np.random.default_rng(1)
    clusters = rng.integers(0, 150, 600)
    shared = rng.normal(0, 1, 150)[clusters]
    denominators = rng.lognormal(0, 0.4, 600)
    numerators = denominators * (2 + shared) + rng.normal(0, 0.5, 600)
    value, low, high = ratio_interval(numerators, denominators, clusters.tolist())
    above, below = (np.bincount(clusters, x, minlength=150) for x in (numerators, denominators))
    picks = rng.integers(0, 150, (4_000, 150))
    resampled = above[picks].sum(axis=1) / below[picks].sum(axis=1)
    assert (high - low) / 2 / stats.t.ppf(0.975, 149) == pytest.approx(resampled.std(), rel=0.05)
    assert value == pytest.approx(numerators.sum() / denominators.sum())


def test_clustered_interval_covers_where_the_plain_one_does_not() -> None:
    """400 samples of 40 clusters of 5 alike values: coverage .95 ± 3 standard errors of .011."""
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(40), 5).tolist()
    hits = {"clustered": 0, "plain": 0}
    for _ in range(400):
        values = np.repeat(rng.normal(size=40), 5) + 0.3 * rng.normal(size=200)
        for name, (_, low, high) in (
            ("clustered", clustered_interval(values, clusters)),
            ("plain", mean_interval(values)),
        ):
            hits[name] += low <= 0.0 <= high
    assert abs(hits["clustered"] / 400 - 0.95) < 0.033
    assert hits["plain"] / 400 < 0.8


def test_difference_is_welchs() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(1, 3, 12), rng.normal(0, 1, 40)
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert_allclose(combined([mean_estimate(a), mean_estimate(b)], [1, -1]).interval()[1:], expected)


def test_tiny_errors_keep_their_degrees_of_freedom() -> None:
    """Costs of nano-dollars: their variances' squares would vanish in floating point."""
    values = 1e-100 * np.random.default_rng(4).normal(size=10)
    found = combined([mean_estimate(values), mean_estimate(values)], [1, -1])
    assert found.freedom == pytest.approx(18)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (517, 1000)])
def test_wilson_is_scipys(successes: int, n: int) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert_allclose(wilson(successes, n)[1:], expected, atol=1e-12)


def test_one_value_has_no_interval() -> None:
    assert mean_interval([3.0]) == (3.0, None, None)
    assert clustered_interval([1.0, 2.0], ["a", "a"]) == (1.5, None, None)
    assert mean_interval([1.0, 2.0], [0.0, 1.0]) == (2.0, None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: mean_interval([]),
        lambda: mean_interval([math.nan]),
        lambda: mean_interval([1.0], level=1.0),
        lambda: mean_interval([1.0, 2.0], [1.0, -1.0]),
        lambda: mean_interval([1.0, 2.0], [1.0]),
        lambda: clustered_interval([1.0, 2.0], ["a"]),
        lambda: ratio_interval([1.0, 2.0], [1.0, -1.0]),
        lambda: wilson(3, 2),
        lambda: wilson(0, 0),
    ],
)
def test_nonsense_is_refused(wrong) -> None:
    with pytest.raises(InvalidRequest):
        wrong()
