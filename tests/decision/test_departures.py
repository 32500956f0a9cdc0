"""Posteriors under a mixture of strengths: by hand, by quadrature, and against a general optimiser."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import betaln

from optimizer.decision.departures import departures

ONE = np.ones(1)
KINDS, SHARES = (5.0, 30.0, 200.0), (0.1, 0.4, 0.5)


def test_one_kind_by_hand() -> None:
    """Beta(.75 · 20, .25 · 20) and 6 of 10: Beta(21, 9)."""
    found = departures(np.array([[10.0]]), np.array([[6.0]]), np.array([[0.75]]), ONE, (20.0,), (1.0,), 1.0)
    assert_allclose(found.mean, 0.7)
    assert_allclose(found.strength, 30.0)
    assert_allclose(found.of_start, 2.0 / 3.0)


def test_graded_ratings_count_for_more_coins() -> None:
    """At φ = .5 ten ratings are worth twenty coins, and so is each rating that the start is worth."""
    found = departures(np.array([[10.0]]), np.array([[6.0]]), np.array([[0.75]]), 0.5 * ONE, (20.0,), (1.0,), 1.0)
    assert_allclose(found.mean, 0.7)
    assert_allclose(found.strength, 60.0)


@pytest.mark.parametrize(("n", "ones"), [(4.0, 0.0), (30.0, 6.0), (30.0, 23.0)])
def test_mean_and_spread_are_those_of_the_mixture(n: float, ones: float) -> None:
    """Against quadrature, with shares so heavy that no cell moves them."""
    found = departures(np.array([[n]]), np.array([[ones]]), np.array([[0.75]]), ONE, KINDS, SHARES, 1e12)

    def moment(power: int) -> float:
        def integrand(theta: float) -> float:
            prior = sum(w * stats.beta.pdf(theta, 0.75 * k, 0.25 * k) for k, w in zip(KINDS, SHARES, strict=True))
            return float(theta**power * prior * theta**ones * (1.0 - theta) ** (n - ones))

        return float(quad(integrand, 0.0, 1.0, epsrel=1e-10, epsabs=0.0, points=[0.5, 0.75], limit=200)[0])

    mean = moment(1) / moment(0)
    variance = moment(2) / moment(0) - mean**2
    assert_allclose(found.mean, mean, rtol=1e-6)
    assert_allclose(found.mean * (1.0 - found.mean) / (found.strength + 1.0), variance, rtol=1e-5)


def test_shares_of_the_kinds_are_learned_from_all_cells() -> None:
    """Against the maximum of the penalised likelihood; seen in a cell without ratings, whose spread the shares make."""
    rng = np.random.default_rng(3)
    kinds, n = (4.0, 200.0), np.full((30, 20), 60.0)
    wild = rng.random(n.shape) < 0.4
    quality = np.where(wild, rng.beta(3.0, 1.0, n.shape), rng.beta(150.0, 50.0, n.shape))
    ones = rng.binomial(60, quality).astype(float)
    n[0, 0] = ones[0, 0] = 0.0
    found = departures(n, ones, np.full(n.shape, 0.75), np.ones(20), kinds, (0.2, 0.8), 20.0)
    evidence = [betaln(0.75 * k + ones, 0.25 * k + n - ones) - betaln(0.75 * k, 0.25 * k) for k in kinds]

    def loss(share: float) -> float:
        likely = np.logaddexp(np.log(share) + evidence[0], np.log1p(-share) + evidence[1])
        return float(-(likely[n > 0].sum() + 20.0 * (0.2 * np.log(share) + 0.8 * np.log1p(-share))))

    best = minimize_scalar(loss, bounds=(0.01, 0.99), method="bounded").x
    assert best == pytest.approx(0.4, abs=0.08)
    learned = (1.0 / (found.strength[0, 0] + 1.0) - 1.0 / 201.0) / (1.0 / 5.0 - 1.0 / 201.0)
    assert learned == pytest.approx(best, abs=0.01)


def test_a_cell_that_fails_altogether_leaves_the_others_alone() -> None:
    """It is believed to fail, though one strength for all would have been drawn down in the others, too."""
    n, ones = np.full((6, 4), 40.0), np.full((6, 4), 30.0)
    calm = departures(n, ones, np.full(n.shape, 0.75), np.ones(4), KINDS, SHARES, 20.0)
    ones[2, 1] = 2.0
    found = departures(n, ones, np.full(n.shape, 0.75), np.ones(4), KINDS, SHARES, 20.0)
    assert found.mean[2, 1] < 0.2
    assert found.of_start[2, 1] < 0.2
    others = np.ones(n.shape, dtype=bool)
    others[2, 1] = False
    assert_allclose(found.strength[others], calm.strength[others], rtol=0.15)


@given(st.integers(0, 2**32 - 1))
def test_mean_lies_between_start_and_ratings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    n = rng.poisson(rng.choice([0.5, 20.0, 2000.0]), shape) * 1.0
    start, ratio = rng.uniform(0.001, 0.999, shape), rng.uniform(0.0, 1.0, shape)
    found = departures(n, n * ratio, start, rng.uniform(0.05, 1.0, shape[1]), KINDS, SHARES, 20.0)
    rated = np.where(n > 0, ratio, start)
    assert (found.mean >= np.minimum(start, rated) - 1e-9).all()
    assert (found.mean <= np.maximum(start, rated) + 1e-9).all()
    assert (found.strength > 0.0).all()
    assert ((found.of_start > 0.0) & (found.of_start < 1.0 + 1e-9)).all()
