"""Predictions rest on earlier calls alone; the two models behind them agree with references."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from optimizer.analysis.estimators import predicted
from optimizer.analysis.estimators.outcomes import OutcomeSums
from optimizer.analysis.estimators.rated import design_of, fit_chance
from tests.analysis.estimators.logs import drawn_log

UNEVEN = np.array([[0.7, 0.3], [0.2, 0.8]])
MEANS = np.array([[0.9, 0.6], [0.8, 0.1]])


def test_a_call_and_all_later_ones_leave_its_prediction_as_it_is() -> None:
    calls = drawn_log(1, 400, UNEVEN, MEANS, rate=0.5)
    changed = calls.with_rewards(np.where((np.arange(400) < 200) | np.isnan(calls.reward), calls.reward, 0.123))
    one, other = predicted(calls, 2), predicted(changed, 2)
    assert_array_equal(one.reward[:220], other.reward[:220])
    assert (one.reward[220:] != other.reward[220:]).any()


def test_whether_later_calls_are_rated_changes_no_earlier_chance() -> None:
    calls = drawn_log(2, 400, UNEVEN, MEANS, rate=0.5)
    cut = calls.with_rewards(np.where(np.arange(400) < 200, calls.reward, np.nan))
    assert_array_equal(predicted(calls, 2).chance[:220], predicted(cut, 2).chance[:220])


def test_the_first_calls_only_teach() -> None:
    found = predicted(drawn_log(3, 400, UNEVEN, MEANS), 2)
    assert_array_equal(np.flatnonzero(found.usable), np.arange(20, 400))
    assert (found.chance == 1.0).all()


def test_many_rewards_are_believed_as_they_are() -> None:
    """20,000 calls a cell: shrinking by ten is nothing, so the model has the cells' means."""
    calls = drawn_log(4, 80_000, UNEVEN, MEANS)
    sums = OutcomeSums.empty(2, 2, 0).after(calls.context, calls.arm, np.zeros((80_000, 0)), calls.reward)
    assert_allclose(sums.fit().cell, sums.total / sums.n, atol=1e-3)


def test_slopes_are_those_of_least_squares() -> None:
    """A straight line for each arm; the penalty of 20 weighs little against 40,000 calls."""
    rng = np.random.default_rng(5)
    feature, arm = rng.normal(size=(40_000, 1)), rng.integers(0, 2, 40_000)
    reward = 0.5 + np.array([0.3, -0.2])[arm] * feature[:, 0] + rng.normal(0.0, 0.1, 40_000)
    none = np.zeros(40_000, dtype=np.intp)
    model = OutcomeSums.empty(1, 2, 1).after(none, arm, feature, reward).fit()
    for each, slope in enumerate(model.slopes[0]):
        own = arm == each
        assert slope == pytest.approx(np.polyfit(feature[own, 0], reward[own], 1)[0], abs=2e-3)


def test_sums_of_parts_are_the_sums_of_all() -> None:
    calls = drawn_log(6, 300, UNEVEN, MEANS)
    feature = np.random.default_rng(6).normal(size=(300, 2))
    parts = [
        OutcomeSums.empty(2, 2, 2).after(calls.context[at], calls.arm[at], feature[at], calls.reward[at])
        for at in (slice(0, 100), slice(100, 300))
    ]
    whole = OutcomeSums.empty(2, 2, 2).after(calls.context, calls.arm, feature, calls.reward)
    added = OutcomeSums.stacked(parts).counted(np.ones(2))
    assert_allclose(added.gram, whole.gram)
    assert_allclose(added.fit().predict(calls.context, feature), whole.fit().predict(calls.context, feature))


def test_the_chance_of_a_rating_has_no_gradient_left() -> None:
    """At the maximum of the penalised likelihood Xᵀ(r − p) = penalty·β: 1 for columns, all but 0 for the intercept."""
    rng = np.random.default_rng(7)
    features, codes = rng.normal(size=(500, 2)), rng.integers(0, 3, 500)
    rated = rng.random(500) < 1.0 / (1.0 + np.exp(1.0 - features[:, 0] - 0.5 * (codes == 2)))
    found = fit_chance(design_of(((codes, 3),), features), rated)
    dense = np.column_stack([np.ones(500), np.eye(3)[codes], features])
    chance = 1.0 / (1.0 + np.exp(-dense @ found))
    assert_allclose(dense.T @ (rated - chance), np.array([1e-3, 1.0, 1.0, 1.0, 1.0, 1.0]) * found, atol=1e-2)


@pytest.mark.parametrize("all_or_none", [True, False])
def test_a_rating_that_never_varies_is_fitted_all_the_same(all_or_none: bool) -> None:
    found = fit_chance(design_of((), np.ones((50, 1))), np.full(50, all_or_none))
    assert np.isfinite(found).all()
