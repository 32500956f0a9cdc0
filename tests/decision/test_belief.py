"""Beliefs by hand, by law, and against simulated ratings and a general optimiser."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit, logit

from optimizer.decision.belief import (
    Belief,
    FloatArray,
    IntArray,
    Pooling,
    RatingSums,
    _additive_fit,
    _by_use_case,
    _dispersion,
    _evened,
    believe,
)

POOLING = Pooling()
ONE_KIND = Pooling(strengths=(15.0,), strength_shares=(1.0,))
SLOPE = POOLING.centre * (1.0 - POOLING.centre)  # of quality by log odds, at the centre
seeds = st.integers(0, 2**32 - 1)


def coins(n: FloatArray, ones: FloatArray, use_case: IntArray | None = None) -> RatingSums:
    """Return sums of ratings that are all 0 or 1, whose squares are themselves."""
    return RatingSums(n, ones, ones, np.arange(len(n)) if use_case is None else use_case)


def tossed(
    rng: np.random.Generator, n: FloatArray, quality: FloatArray, use_case: IntArray | None = None
) -> RatingSums:
    ones = rng.binomial(n.astype(int), np.broadcast_to(quality, n.shape))
    return coins(n, ones.astype(float), use_case)


def graded(rng: np.random.Generator, n: int, mean: FloatArray, strength: float) -> RatingSums:
    """Return sums of `n` Beta-distributed ratings in every cell."""
    ratings = rng.beta(mean * strength, (1.0 - mean) * strength, (n, *mean.shape))
    sums = (ratings**power for power in (0, 1, 2))
    return RatingSums(*(values.sum(axis=0) for values in sums), use_case=np.arange(len(mean)))


def some_ratings(seed: int) -> RatingSums:
    """Return graded ratings of 1–4 use cases of 1–3 segments each and 1–5 models, some cells unrated."""
    rng = np.random.default_rng(seed)
    use_case = np.repeat(np.arange(rng.integers(1, 5)), rng.integers(1, 4))
    shape = (len(use_case), int(rng.integers(1, 6)))
    n = rng.poisson(rng.choice([0.5, 5.0, 50.0]), shape) * rng.uniform(0.3, 1.0)
    mean = rng.uniform(0.05, 0.95, shape)
    square = mean**2 + rng.uniform(0.0, 1.0, shape) * mean * (1.0 - mean)
    return RatingSums(n, n * mean, n * square, use_case)


def test_before_any_rating_every_cell_is_at_the_centre() -> None:
    belief = believe(RatingSums.empty(np.array([0, 1, 1]), 4))
    assert_allclose(belief.mean, POOLING.centre)
    kinds = np.array(POOLING.strengths)
    own = 1.0 / (1.0 / (np.array(POOLING.strength_shares) / (kinds + 1.0)).sum() - 1.0)  # of a mixture around one mean
    assert_allclose(belief.strength[0], 1.0 / (own + 0.5**2 / POOLING.effect_weight))  # and half an effect's spread
    assert_allclose(belief.strength[1:], POOLING.strength)
    assert_allclose(belief.temperature, 1.0)
    assert belief.centre == pytest.approx(POOLING.centre)


def test_beta_bernoulli_by_hand() -> None:
    """Start held at .75, worth κ₀: 2 of 5 ratings are 1, so Beta(.75κ₀ + 2, .25κ₀ + 3)."""
    firm = replace(ONE_KIND, centre_weight=1e9, effect_weight=1e9)
    belief = believe(coins(np.array([[5.0]]), np.array([[2.0]])), pooling=firm)
    a = belief.mean * belief.strength
    assert_allclose(a, firm.centre * firm.strength + 2.0, rtol=1e-6)
    assert_allclose(belief.strength - a, (1.0 - firm.centre) * firm.strength + 3.0, rtol=1e-6)


def test_one_rating_against_a_firm_centre_by_hand() -> None:
    """Against weights so heavy that nothing else moves: the centre's log odds move by (1 − μ)/(w μ(1 − μ))."""
    heavy = Pooling(centre_weight=1e4, effect_weight=1e4)
    belief = believe(coins(np.array([[1.0]]), np.array([[1.0]])), pooling=heavy)
    moved = logit(belief.centre) - logit(heavy.centre)
    assert moved == pytest.approx((1.0 - heavy.centre) / (SLOPE * heavy.centre_weight), rel=1e-2)


@given(seeds)
def test_dispersion_of_zeros_and_ones_is_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = rng.poisson(3.0, (4, 3)).astype(float)
    assert_allclose(_dispersion(tossed(rng, n, rng.random((4, 3))), POOLING), 1.0, rtol=1e-12)


@pytest.mark.parametrize("strength", [1.0, 5.0, 20.0])
def test_dispersion_of_graded_ratings_is_unbiased(strength: float) -> None:
    """Ratings from Beta(μs, (1−μ)s) have variance μ(1−μ)/(s + 1), so φ = 1/(s + 1), whatever the cells' means."""
    rng = np.random.default_rng(7)
    plain = Pooling(dispersion_weight=0.0)
    mean = rng.uniform(0.3, 0.9, (100, 40))  # 40 models, each an experiment of its own
    found = _dispersion(graded(rng, 4, mean, strength), plain)
    assert abs(found.mean() - 1.0 / (strength + 1.0)) < 4.0 * found.std(ddof=1) / np.sqrt(found.size)


def test_dispersion_is_one_until_it_is_known() -> None:
    """At the weight of w ratings like the centre's, identical ratings are believed by half."""
    w = POOLING.dispersion_weight
    n = np.array([[0.0, 1.0, w]])
    ratings = RatingSums(n, POOLING.centre * n, POOLING.centre**2 * n, np.array([0]))
    assert_allclose(_dispersion(ratings, POOLING), [1.0, 1.0, 0.5])


@given(seeds)
def test_belief_is_a_proper_beta(seed: int) -> None:
    ratings = some_ratings(seed)
    belief = believe(ratings)
    phi = _dispersion(ratings, POOLING)
    assert ((phi > 0.0) & (phi <= 1.0)).all()
    assert ((belief.mean > 0.0) & (belief.mean < 1.0)).all()
    kappa = belief.strength * phi
    whole = (np.bincount(ratings.use_case)[ratings.use_case] == 1)[:, None]
    assert (kappa[~np.broadcast_to(whole, kappa.shape)] >= POOLING.strength_low - 1e-9).all()
    assert (kappa <= np.where(whole, max(POOLING.strengths), POOLING.strength_high) + ratings.n + 1e-9).all()


@given(seeds, st.randoms(use_true_random=False))
def test_order_of_models_and_contexts_does_not_matter(seed: int, random: object) -> None:
    ratings = some_ratings(seed)
    rows, columns = (random.sample(range(size), size) for size in ratings.n.shape)  # type: ignore[attr-defined]
    at = np.ix_(rows, columns)
    shuffled = believe(RatingSums(ratings.n[at], ratings.total[at], ratings.square[at], ratings.use_case[rows]))
    belief = believe(ratings)
    assert_allclose(shuffled.mean, belief.mean[at], rtol=1e-7)
    assert_allclose(shuffled.strength, belief.strength[at], rtol=1e-7)
    assert_allclose(shuffled.temperature, belief.temperature[columns])


@given(st.integers(0, 200), st.integers(0, 200))
def test_more_ratings_make_a_firmer_belief(fewer: int, more: int) -> None:
    """Where cells are of one kind and effects are not doubted, each rating adds one to the strength."""
    n = np.array([[float(fewer), float(fewer + more)]])
    belief = believe(coins(n, 0.6 * n), pooling=replace(ONE_KIND, doubt=0.0))
    assert_allclose(belief.strength, ONE_KIND.strengths[0] + n)


def test_a_model_on_easy_work_gains_nothing_by_it() -> None:
    """Two equal models, .9 where it is easy and .5 where it is hard, on mixes of 3 : 1 and 1 : 3.

    Their plain means are .8 and .6; the penalties of the fit keep a little of that.
    """
    n = np.array([[150.0, 50.0], [50.0, 150.0]])
    belief = believe(coins(n, np.array([[0.9], [0.5]]) * n))
    assert_allclose(belief.mean[:, 0], belief.mean[:, 1], atol=0.02)
    assert_allclose(belief.mean, [[0.9, 0.9], [0.5, 0.5]], atol=0.02)


def penalised(x: FloatArray, sums: RatingSums, shift: FloatArray) -> float:
    """Return minus the likelihood that the sweeps claim to climb: coins in log odds, normal penalties in ratings."""
    n_arms = sums.n.shape[1]
    centre, arms, use_cases = x[0], x[1 : 1 + n_arms], x[1 + n_arms :, None]
    log_odds = centre + arms + use_cases + shift / SLOPE
    fit = (sums.total * log_odds - sums.n * np.logaddexp(0.0, log_odds)).sum()
    effects = POOLING.effect_weight * SLOPE * ((arms**2).sum() + (use_cases**2).sum())
    central = POOLING.centre_weight * SLOPE * (centre - logit(POOLING.centre)) ** 2
    return float(0.5 * (effects + central) - fit)


@pytest.mark.parametrize("seed", range(12))
def test_sweeps_reach_the_optimum_of_the_penalised_likelihood(seed: int) -> None:
    """Against BFGS, to .002 of quality; the last model is a newcomer, whose start rests on the centre alone."""
    rng = np.random.default_rng(seed)
    shape = n_use_cases, n_arms = int(rng.integers(1, 6)), int(rng.integers(2, 9))
    n = rng.poisson(rng.choice([1.0, 10.0, 1000.0]), shape) * (np.arange(n_arms) < n_arms - 1.0)
    effects = rng.normal(0.0, 1.0, (1, n_arms)) + rng.normal(0.0, 1.0, (n_use_cases, 1))
    ratings = tossed(rng, n, expit(rng.choice([-2.0, 1.0, 2.0]) + effects))
    shift = rng.normal(0.0, 0.07, shape)
    best = minimize(penalised, np.r_[logit(POOLING.centre), np.zeros(sum(shape))], (ratings, shift), method="BFGS").x
    centre, start = _additive_fit(_by_use_case(ratings, shift), np.ones(n_arms), POOLING)
    reference = expit(best[0] + best[1 : 1 + n_arms] + best[1 + n_arms :, None] + shift / SLOPE)
    assert_allclose(start, reference, atol=0.002)
    assert centre == pytest.approx(expit(best[0]), abs=0.002)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_strength_of_the_start_recovers_how_far_cells_are_from_it(part: float) -> None:
    """Cells from Beta(.75κ, .25κ), 100 coins each: the standard error of 1/κ₀ is (1/κ + 1/100)·√(2/cells) about.

    Geometrically `part` of the way through the clamp; the fit takes 90 of 2000 degrees of freedom.
    """
    true = POOLING.strength_low ** (1.0 - part) * POOLING.strength_high**part
    rng = np.random.default_rng(11)
    quality = rng.beta(0.75 * true, 0.25 * true, (50, 40))
    n = np.full(quality.shape, 100.0)
    found = (believe(tossed(rng, n, quality, np.zeros(50, dtype=np.intp))).strength - n)[0, 0]
    tolerance = 4.0 * (1.0 / true + 0.01) * np.sqrt(2.0 / quality.size) + 90.0 / 2000.0 / true
    assert abs(1.0 / found - 1.0 / true) < tolerance


@pytest.mark.parametrize(("spread", "end"), [(0.0, "strength_high"), (0.4, "strength_low")])
def test_strength_of_the_start_is_clamped(spread: float, end: str) -> None:
    """Cells all alike, or alternating at random between .5 ± .4."""
    rng = np.random.default_rng(5)
    n = np.full((12, 10), 500.0)
    quality = 0.5 + spread * rng.choice([-1.0, 1.0], n.shape)
    found = believe(coins(n, quality * n, np.zeros(12, dtype=np.intp))).strength - n
    assert_allclose(found, getattr(POOLING, end))


def test_a_segment_without_ratings_is_as_its_use_case() -> None:
    """Against the fit of the same sums without segments; the one rated segment keeps its ease to itself."""
    n, ones = np.array([[30.0, 6.0], [0.0, 0.0]]), np.array([[27.0, 3.0], [0.0, 0.0]])
    segments = believe(coins(n, ones, np.array([0, 0])))
    whole = believe(coins(n[:1], ones[:1]))
    assert_allclose(segments.mean[1], whole.mean[0])


def test_a_rated_segment_lies_between_its_use_case_and_its_own_mean() -> None:
    n = np.full((3, 2), 25.0)
    segments = believe(coins(n, n * np.array([[0.9], [0.6], [0.3]]), np.array([0, 0, 0])))
    assert (segments.mean[0] < 0.9).all()
    assert (segments.mean[0] > segments.mean[1]).all()
    assert (segments.mean[1] > segments.mean[2]).all()
    assert (segments.mean[2] > 0.3).all()


def test_ease_of_a_segment_is_shared_by_its_models() -> None:
    """Only the first model is rated in the hard segment, and the second, never seen there, is thought worse for it."""
    n = np.array([[100.0, 100.0], [100.0, 0.0]])
    belief = believe(coins(n, n * np.array([[0.9, 0.9], [0.5, 0.5]]), np.array([0, 0])))
    assert belief.mean[1, 1] < belief.mean[0, 1] - 0.05


def test_a_model_sent_to_hard_segments_is_not_thought_worse_for_it() -> None:
    """Both are as good in the hard segment; in the easy one the second was never seen, and starts about level."""
    n = np.array([[200.0, 0.0], [200.0, 200.0]])
    mean = believe(coins(n, n * np.array([[0.9], [0.5]]), np.array([0, 0]))).mean
    assert mean[0, 1] > mean[0, 0] - 0.1


def test_evened_ratings_by_hand() -> None:
    """A mean of .5, ease ln 3 of 10 ratings and −ln 3/3 of 30, on average 0: an odds of 3 is .75, so 2.5 are taken."""
    ratings = coins(np.array([[10.0], [30.0]]), np.array([[8.0], [12.0]]), np.array([0, 0]))
    found = _evened(ratings, np.array([[0.5]]), np.log(3.0) * np.array([[1.0], [-1.0 / 3.0]]))
    assert_allclose(found.total, [[8.0 - 2.5], [12.0 - 30.0 * (expit(-np.log(3.0) / 3.0) - 0.5)]])
    assert_array_equal(found.n, ratings.n)


def test_a_prior_moves_the_start_and_fades() -> None:
    """±.07 of quality at the start; after 1000 ratings less than a fiftieth of that."""
    prior = np.array([[0.07, -0.07]])
    for n, low, high in ((0.0, 0.12, 0.15), (1000.0, 0.0, 0.0028)):
        ratings = coins(np.full((1, 2), n), np.full((1, 2), 0.7 * n))
        mean = believe(ratings, prior=prior).mean[0]
        assert low <= mean[0] - mean[1] <= high


@given(seeds)
def test_temperature_scales_the_spread(seed: int) -> None:
    """T times the standard deviation of the Beta at full spread, by scipy, at the same mean."""
    rng = np.random.default_rng(seed)
    mean, strength = rng.uniform(0.01, 0.99, (3, 4)), rng.uniform(2.0, 500.0, (3, 4))
    belief = Belief(mean, strength, mean, rng.uniform(0.4, 1.0, 4), 0.75)
    cool, full = (stats.beta.std(mean * s, (1.0 - mean) * s) for s in (belief.tempered(), strength))
    assert_allclose(cool, belief.temperature * full)


@pytest.mark.parametrize(("n", "temperature"), [(0.0, 1.0), (4.0, 1.0), (16.0, 0.5), (25.0, 0.4), (1e4, 0.4)])
def test_temperature_falls_with_the_ratings_of_a_model_over_all_contexts(n: float, temperature: float) -> None:
    """2/√n, between .4 and 1."""
    belief = believe(coins(np.full((2, 1), n / 2.0), np.full((2, 1), n / 4.0)))
    assert_allclose(belief.temperature, temperature)


@settings(max_examples=30)
@given(seeds)
def test_evidence_is_not_modified(seed: int) -> None:
    ratings = some_ratings(seed)
    for values in (ratings.n, ratings.total, ratings.square, ratings.use_case):
        values.setflags(write=False)
    believe(ratings)


def test_the_only_use_case_doubts_its_models_most() -> None:
    """Half of an effect's spread where one use case is rated, a quarter each where two are; segments doubt nothing.

    With 10 ratings a model of quality .75 and an effect weighing 10, the effect's variance is that of 20 coins or 30.
    """
    plain = replace(ONE_KIND, dispersion_weight=1e9, doubt=0.0)
    half = replace(plain, doubt=0.5)
    coin, start = 0.75 * 0.25, 15.0 / 25.0
    for n_use_cases, part in ((1, 0.5), (2, 0.25)):
        n = np.full((n_use_cases, 2), 10.0)
        doubted, sure = (believe(coins(n, 0.75 * n), pooling=pooling) for pooling in (half, plain))
        extra = coin * (1.0 / doubted.strength - 1.0 / sure.strength)
        information = (10.0 * n_use_cases + POOLING.effect_weight) * coin
        assert_allclose(extra, (part * start * coin) ** 2 / information, rtol=1e-9)
    segments = RatingSums(n, 0.75 * n, 0.75 * n, np.array([0, 0]))
    assert_array_equal(believe(segments, pooling=half).strength, believe(segments, pooling=plain).strength)


def test_doubt_about_models_widens_beliefs_and_fades_with_their_ratings() -> None:
    """A model rated elsewhere 10,000 times may differ here only as cells do; a new one may be another altogether."""
    n = np.array([[0.0, 0.0], [10_000.0, 0.0]])
    found = believe(RatingSums(n, 0.8 * n, 0.8 * n, np.arange(2)))
    wide = found.wide()
    assert (wide.strength <= found.strength).all()
    ratio = wide.strength / found.strength
    assert ratio[0, 0] > 0.98
    assert ratio[0, 1] < 0.6
    assert_allclose(wide.mean, found.mean)
    assert_allclose(wide.temperature, 1.0)
    assert found.temperature[0] < 1.0
