"""Gate, guard and holdout: what stays in, who takes what, and that nothing is lost on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from optimizer.decision.guard import GATE_CHANCE, GATE_RATINGS, PROVEN_CHANCE, gate, guard, hold_out

E = 0.1
COST = np.array([[1.0, 2.0, 3.0, 4.0]])
ALL = np.ones((1, 4), dtype=bool)
LAST = np.array([3])
seeds = st.integers(0, 2**32 - 1)


def shares_of(rng: np.random.Generator, eligible: np.ndarray) -> np.ndarray:
    weights = rng.random(eligible.shape) * eligible
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300))


@pytest.mark.parametrize(
    ("chance", "n", "stays"),
    [
        (GATE_CHANCE - 0.01, GATE_RATINGS, False),
        (GATE_CHANCE - 0.01, GATE_RATINGS - 0.5, True),
        (GATE_CHANCE, GATE_RATINGS, True),
        (0.0, 0.0, True),
    ],
)
def test_gate_shuts_out_what_is_well_rated_and_unlikely_to_do(chance: float, n: float, stays: bool) -> None:
    chances, ratings = np.array([[chance, 0.9]]), np.array([[n, 100.0]])
    left_in = gate(chances, ratings, np.ones((1, 2), dtype=bool), np.array([1]))
    assert left_in.tolist() == [[stays, True]]


def test_gate_never_shuts_out_the_incumbent() -> None:
    left_in = gate(np.zeros((1, 4)), np.full((1, 4), 1e3), ALL, LAST)
    assert left_in.tolist() == [[False, False, False, True]]


def test_gate_that_would_leave_nothing_is_open() -> None:
    eligible = np.array([[True, True, False, False]])
    assert_array_equal(gate(np.zeros((1, 4)), np.full((1, 4), 1e3), eligible, LAST), eligible)


def test_cheapest_proven_arm_takes_all_but_the_share_of_the_canaries() -> None:
    """Arm 1 is proven; the only cheaper one, arm 0, has .4 of the votes, more than e."""
    chances = np.array([[0.5, PROVEN_CHANCE, 0.99, 1.0]])
    found = guard(np.array([[0.4, 0.3, 0.2, 0.1]]), chances, COST, ALL, LAST, E)
    assert_allclose(found, [[E, 1.0 - E, 0.0, 0.0]])


def test_canaries_share_by_their_votes() -> None:
    """Nothing is proven, so the incumbent anchors; votes .3, .2, .1 share e as 3 : 2 : 1."""
    found = guard(np.array([[0.3, 0.2, 0.1, 0.4]]), np.full((1, 4), 0.5), COST, ALL, LAST, E)
    assert_allclose(found, [[E / 2, E / 3, E / 6, 1.0 - E]])


def test_canaries_with_fewer_votes_than_their_share_keep_their_votes() -> None:
    found = guard(np.array([[0.02, 0.01, 0.0, 0.97]]), np.full((1, 4), 0.5), COST, ALL, LAST, E)
    assert_allclose(found, [[0.02, 0.01, 0.0, 0.97]])


def test_proven_arm_with_none_cheaper_takes_all() -> None:
    found = guard(np.full((1, 4), 0.25), np.array([[0.95, 0.1, 0.1, 0.1]]), COST, ALL, LAST, E)
    assert_array_equal(found, [[1.0, 0.0, 0.0, 0.0]])


def test_without_the_incumbent_the_arm_with_most_votes_anchors() -> None:
    left_in = np.array([[True, True, True, False]])
    found = guard(np.array([[0.3, 0.6, 0.1, 0.0]]), np.full((1, 4), 0.5), COST, left_in, LAST, E)
    assert_allclose(found, [[E, 1.0 - E, 0.0, 0.0]])


def test_unknown_cost_is_not_the_cheapest() -> None:
    cost = np.array([[np.nan, 2.0, 3.0, 4.0]])
    found = guard(np.full((1, 4), 0.25), np.full((1, 4), 0.95), cost, ALL, LAST, E)
    assert_array_equal(found, [[0.0, 1.0, 0.0, 0.0]])


@given(seeds)
def test_guard_keeps_rows_whole_and_gives_nothing_to_what_is_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left_in = rng.random((6, 4)) < 0.6
    votes, chances, cost = shares_of(rng, left_in), rng.random((6, 4)) ** 0.3, rng.random((6, 4))
    incumbent = rng.integers(0, 4, 6)
    found = guard(votes, chances, cost, left_in, incumbent, E)
    assert_allclose(found.sum(axis=1), left_in.any(axis=1).astype(float))
    assert (found >= 0.0).all()
    assert not found[~left_in].any()
    assert (found.max(axis=1)[left_in.any(axis=1)] >= 1.0 - E - 1e-12).all()


@given(seeds, st.floats(0.0, 1.0))
def test_holdout_is_a_mixture_with_the_incumbent(seed: int, holdout: float) -> None:
    """h·(incumbent alone) + (1 − h)·shares, where the incumbent can serve; else the shares as they are."""
    rng = np.random.default_rng(seed)
    eligible = rng.random((5, 4)) < 0.7
    shares, incumbent = shares_of(rng, eligible), rng.integers(0, 4, 5)
    found = hold_out(shares, incumbent, eligible, holdout)
    for row, arm in enumerate(incumbent):
        mixed = holdout * np.eye(4)[arm] + (1.0 - holdout) * shares[row]
        assert_allclose(found[row], mixed if eligible[row, arm] else shares[row])


@given(seeds)
def test_a_holdout_of_one_is_the_incumbent_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    incumbent = rng.integers(0, 4, 5)
    eligible = np.ones((5, 4), dtype=bool)
    assert_array_equal(hold_out(shares_of(rng, eligible), incumbent, eligible, 1.0), np.eye(4)[incumbent])
