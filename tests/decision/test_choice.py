"""Draws and votes against scipy, brute force and Monte Carlo; what never wins changes nobody's share."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import ndtri

from optimizer.decision.belief import Belief, BoolArray, FloatArray
from optimizer.decision.choice import (
    N_SCENARIOS,
    VOTE_GATE,
    beta_quantile,
    draw,
    explore,
    floor_chances,
    floor_votes,
    normalised,
    scenario_uniforms,
    scenarios,
    score_votes,
)

seeds = st.integers(0, 2**32 - 1)
U = (np.arange(N_SCENARIOS) + 0.5) / N_SCENARIOS


def quantile_error(low: float, high: float) -> FloatArray:
    """Return |error| over the standard deviation, shape (n, N_SCENARIOS), of shapes whose lesser is in [low, high)."""
    mean, strength = (grid.ravel() for grid in np.meshgrid(np.linspace(0.01, 0.99, 45), np.geomspace(0.5, 1e4, 40)))
    lesser = np.minimum(mean, 1.0 - mean) * strength
    mean, strength = (values[(low <= lesser) & (lesser < high)] for values in (mean, strength))
    a, b = (mean * strength)[:, None], ((1.0 - mean) * strength)[:, None]
    found = beta_quantile(mean, strength, np.broadcast_to(ndtri(U), (len(mean), N_SCENARIOS)))
    return np.asarray(np.abs(found - stats.beta.ppf(U, a, b)) / stats.beta.std(a, b))


@pytest.mark.parametrize(
    ("low", "high", "worst", "typical"),
    [(0.05, 2.0, 0.05, 0.005), (2.0, 5.0, 0.08, 0.02), (5.0, 20.0, 0.03, 0.01), (20.0, 1e4, 0.01, 0.003)],
)
def test_quantiles_agree_with_scipy(low: float, high: float, worst: float, typical: float) -> None:
    error = quantile_error(low, high)
    assert error.max() < worst
    assert error.mean() < typical


@given(seeds)
def test_chance_of_the_floor_agrees_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mean, strength, threshold = rng.uniform(0.01, 0.99, 5), rng.uniform(1.0, 500.0, 5), rng.random(5)
    expected = stats.beta.sf(threshold, mean * strength, (1.0 - mean) * strength)
    assert_allclose(floor_chances(mean, strength, threshold), expected, atol=1e-12)


@pytest.mark.parametrize(("threshold", "chance"), [(-0.2, 1.0), (0.0, 1.0), (1.0, 0.0), (1.2, 0.0)])
def test_floor_at_the_ends_is_sure(threshold: float, chance: float) -> None:
    assert floor_chances(np.array([0.6]), np.array([9.0]), np.array([threshold])) == chance


def test_scenarios_are_the_same_in_another_process() -> None:
    code = "from optimizer.decision.choice import *; print(scenario_uniforms('chat/maths', 'm-1').tobytes().hex())"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == scenario_uniforms("chat/maths", "m-1").tobytes().hex()


@given(st.text(max_size=8), st.text(max_size=8))
def test_scenarios_are_stratified(cell: str, model: str) -> None:
    """One uniform in each of the 256 strata, so that their mean is that of the belief to a fraction of 1/256."""
    strata = np.floor(scenario_uniforms(cell, model) * N_SCENARIOS)
    assert_array_equal(np.sort(strata), np.arange(N_SCENARIOS))


def test_cells_and_models_have_scenarios_of_their_own() -> None:
    names = [("a", "b"), ("a", "c"), ("d", "b"), ("b", "a"), ("ab", ""), ("", "ab")]
    drawn = np.array([scenario_uniforms(*name) for name in names])
    assert np.abs(np.corrcoef(drawn) - np.eye(len(names))).max() < 4.0 / np.sqrt(N_SCENARIOS)


def test_scenarios_have_mean_and_spread_of_the_tempered_belief() -> None:
    rng = np.random.default_rng(3)
    mean, strength = rng.uniform(0.2, 0.9, (3, 4)), rng.uniform(20.0, 200.0, (3, 4))
    belief = Belief(mean, strength, mean, np.array([1.0, 0.7, 0.5, 0.4]), 0.75)
    theta = scenarios(belief, ("x", "y", "z"), ("a", "b", "c", "d"))
    spread = belief.temperature * stats.beta.std(mean * strength, (1.0 - mean) * strength)
    assert_allclose(theta.mean(axis=2).T, mean, atol=0.01 * spread.max())
    assert_allclose(theta.std(axis=2).T, spread, rtol=0.03)


def some_vote(seed: int) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Return (theta, cost, eligible) of 3 contexts, a row each."""
    rng = np.random.default_rng(seed)
    n_arms = int(rng.integers(1, 6))
    theta = rng.random((n_arms, 3, N_SCENARIOS)) ** rng.uniform(0.2, 2.0, (n_arms, 1, 1))
    return theta, np.exp(rng.normal(-6.0, 2.0, (3, n_arms))), rng.random((3, n_arms)) < 0.8


@given(seeds, st.sampled_from((0.0, 1.0, 100.0, 1e6)))
@settings(max_examples=40)
def test_score_votes_count_the_scenarios_won(seed: int, price: float) -> None:
    """Scenario by scenario; arms with under 1% of them get none."""
    theta, cost, eligible = some_vote(seed)
    found = score_votes(theta, np.arange(3), cost, eligible, price)
    for row in range(3):
        arms, counts = np.flatnonzero(eligible[row]), np.zeros(len(theta))
        for scenario in range(N_SCENARIOS if len(arms) else 0):
            counts[max(arms, key=lambda arm: theta[arm, row, scenario] - price * cost[row, arm])] += 1
        counts[counts < VOTE_GATE * N_SCENARIOS] = 0.0
        assert_allclose(found[row], counts / max(counts.sum(), 1.0))


def test_score_votes_agree_with_monte_carlo() -> None:
    """Three models in 60 cells of one belief: the mean share has a standard error of at most .5/√(60·256)."""
    mean, strength, cost = np.array([0.7, 0.75, 0.8]), np.array([30.0, 15.0, 60.0]), np.array([0.1, 0.2, 0.3])
    shape = (60, 3)
    wide = (np.broadcast_to(values, shape) for values in (mean, strength, mean))
    theta = scenarios(Belief(*wide, np.ones(3), 0.75), tuple(map(str, range(60))), ("a", "b", "c"))
    every = np.ones(shape, dtype=bool)
    found = score_votes(theta, np.arange(60), np.broadcast_to(cost, shape), every, 0.5).mean(axis=0)
    draws = np.random.default_rng(2).beta(mean * strength, (1.0 - mean) * strength, (400_000, 3))
    expected = np.bincount((draws - 0.5 * cost).argmax(axis=1)) / len(draws)
    assert_allclose(found, expected, atol=4.0 * 0.5 / np.sqrt(60 * N_SCENARIOS) + 0.002)


@given(seeds)
def test_at_no_price_votes_are_plain_thompson_sampling_whatever_the_cost(seed: int) -> None:
    """The arm with the best draw, also where a cost is not known."""
    theta, cost, eligible = some_vote(seed)
    eligible[:] = True
    cost[:, 0] = np.nan
    shares = np.array([np.bincount(best, minlength=len(theta)) for best in theta.argmax(axis=0)]) / N_SCENARIOS
    found = score_votes(theta, np.arange(3), cost, eligible, 0.0)
    assert_allclose(found, normalised(np.where(shares >= VOTE_GATE, shares, 0.0)))


@given(seeds, st.sampled_from((0.0, 1.0, 100.0)))
def test_newcomer_that_never_scores_best_changes_no_votes(seed: int, price: float) -> None:
    theta, cost, eligible = some_vote(seed)
    eligible[:, 0] = True
    worst = theta.min(axis=0, keepdims=True) - 1e-9
    dearest = cost.max(axis=1, keepdims=True) * 1.5
    before = score_votes(theta, np.arange(3), cost, eligible, price)
    more = np.r_[worst, theta], np.arange(3), np.c_[dearest, cost], np.c_[np.ones(3, dtype=bool), eligible]
    assert_array_equal(score_votes(*more, price), np.c_[np.zeros(3), before])


def some_floor(seed: int) -> tuple[FloatArray, FloatArray, BoolArray]:
    rng = np.random.default_rng(seed)
    n_arms = int(rng.integers(1, 7))
    return rng.random((2, n_arms)), rng.random((2, n_arms)), rng.random((2, n_arms)) < 0.8


@given(seeds)
@settings(max_examples=50)
def test_floor_votes_agree_with_every_outcome(seed: int) -> None:
    """All 2^K ways in which arms may turn out good enough, each won by its cheapest good arm, else the incumbent."""
    chances, cost, eligible = some_floor(seed)
    n_arms = chances.shape[1]
    eligible[:, 0] = True  # the incumbent
    expected = np.zeros_like(chances)
    for row, good in itertools.product(range(2), itertools.product((False, True), repeat=n_arms)):
        likely = np.where(good, chances[row], 1.0 - chances[row]).prod()
        able = [arm for arm in range(n_arms) if good[arm] and eligible[row, arm]]
        expected[row, min(able, key=lambda arm: cost[row, arm], default=0)] += likely
    assert_allclose(floor_votes(chances, cost, eligible, np.zeros(2, dtype=np.intp)), expected, atol=1e-12)


@given(seeds)
def test_floor_votes_are_whole_and_only_for_the_eligible(seed: int) -> None:
    chances, cost, eligible = some_floor(seed)
    incumbent = np.full(2, chances.shape[1] - 1)
    found = floor_votes(chances, cost, eligible, incumbent)
    assert_allclose(found.sum(axis=1), eligible.any(axis=1).astype(float))
    assert not found[~eligible].any()


def test_without_the_incumbent_the_likeliest_inherits() -> None:
    """.2 and .8·.5 win outright; the .4 left go to the arm of .5."""
    eligible = np.array([[True, True, False]])
    found = floor_votes(np.array([[0.2, 0.5, 1.0]]), np.array([[1.0, 2.0, 3.0]]), eligible, np.array([2]))
    assert_allclose(found, [[0.2, 0.8, 0.0]])


@given(seeds, st.floats(0.0, 1.0))
def test_newcomer_dearer_than_a_sure_incumbent_changes_no_votes(seed: int, chance: float) -> None:
    chances, cost, eligible = some_floor(seed)
    chances[:, 0], eligible[:, 0] = 1.0, True
    incumbent = np.zeros(2, dtype=np.intp)
    before = floor_votes(chances, cost, eligible, incumbent)
    dearer = cost[:, :1] + 1e-9
    more = np.c_[chances, np.full(2, chance)], np.c_[cost, dearer], np.c_[eligible, np.ones(2, dtype=bool)]
    assert_allclose(floor_votes(*more, incumbent), np.c_[before, np.zeros(2)], atol=1e-15)


@given(seeds)
def test_order_of_arms_does_not_matter(seed: int) -> None:
    theta, cost, eligible = some_vote(seed)
    order = np.random.default_rng(seed).permutation(len(theta))
    votes = score_votes(theta, np.arange(3), cost, eligible, 30.0)
    shuffled = score_votes(theta[order], np.arange(3), cost[:, order], eligible[:, order], 30.0)
    assert_array_equal(shuffled, votes[:, order])


@given(seeds, st.floats(0.0, 1.0))
def test_exploration_keeps_rows_whole_and_gives_each_arm_left_in_its_floor(seed: int, exploration: float) -> None:
    rng = np.random.default_rng(seed)
    left_in = rng.random((4, 5)) < 0.6
    shares = normalised(rng.random((4, 5)) * left_in)
    found = explore(shares, left_in, exploration)
    assert_allclose(found.sum(axis=1), left_in.any(axis=1).astype(float))
    assert not found[~left_in].any()
    assert (found >= left_in * exploration / 5.0 - 1e-12).all()


def test_exploration_by_hand() -> None:
    """.1 over two arms left in: .9·.8 + .05 and .9·.2 + .05."""
    found = explore(np.array([[0.8, 0.2, 0.0]]), np.array([[True, True, False]]), 0.1)
    assert_allclose(found, [[0.77, 0.23, 0.0]])


def test_draws_come_as_often_as_their_shares_say() -> None:
    """Chi-square over 10,000 draws, fixed seed; arms without a share are never drawn, at either end."""
    shares = np.array([0.0, 0.05, 0.6, 0.0, 0.345, 0.005, 0.0])
    drawn = [draw(shares, uniform) for uniform in np.random.default_rng(1).random(10_000)]
    counts = np.bincount(drawn, minlength=len(shares))
    assert not counts[shares == 0].any()
    assert stats.chisquare(counts[shares > 0], 10_000 * shares[shares > 0]).pvalue > 0.01


@given(seeds, st.floats(0.0, 1.0, exclude_max=True))
def test_no_draw_falls_on_an_arm_without_a_share(seed: int, uniform: float) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.random(6) * (rng.random(6) < 0.5)
    shares[rng.integers(6)] = 0.1
    assert shares[draw(shares / shares.sum(), uniform)] > 0.0
    assert shares[draw(shares / shares.sum(), np.nextafter(1.0, 0.0))] > 0.0
