"""Drift by hand, by brute force and against the tails of coins; steady streams raise no alarm, shifts do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from optimizer.decision.belief import FloatArray
from optimizer.decision.drift import APART_S, Alarm, Buckets, alarms_in, changed_since, shifts, weight_before
from optimizer.decision.evidence import FAILURE, FINE_S, QUALITY

MODELS = ("small", "large")
seeds = st.integers(0, 2**32 - 1)


def _coins(n: FloatArray, heads: FloatArray) -> Buckets:
    return Buckets(np.arange(len(n)) * FINE_S, n, heads, heads)


def _drawn(seed: int, shares: FloatArray, *, n: float = 8.0) -> Buckets:
    """Coins of the given biases, shape (n_buckets, n_cells, n_models)."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(n, shares.shape)
    return _coins(counts.astype(float), rng.binomial(counts, shares).astype(float))


def _steps(before: float, after: float, *, at: int = 40, n_buckets: int = 60) -> FloatArray:
    """Biases of two models in two cells; the first model's change at a bucket."""
    shares = np.full((n_buckets, 2, 2), before)
    shares[at:, :, 0] = after
    return shares


def test_one_split_by_hand() -> None:
    """90 of 100 before, 12 of 20 after: w = 2000/120 = 16.667, difference −.3, mean .85.

    Scatter 102 − 102²/120 = 15.3, a coin of 103/122 has variance .1315: σ² = (15.3 + 6·.1315)/(119 + 6) = .12871.
    Biases (.3 + .12871)/1.12871 = .37982 and .12871/1.12871 = .11403: KL = .23584, √(2·16.667·.23584) = 2.8038.
    """
    scores, since_s = shifts(_coins(np.array([[[100.0]], [[20.0]]]), np.array([[[90.0]], [[12.0]]])))
    assert_allclose(scores, [-2.8038], atol=2e-4)
    assert since_s.tolist() == [FINE_S]


@settings(deadline=None)
@given(seeds, st.integers(0, 5))
def test_scores_are_those_of_brute_force(seed: int, begun: int) -> None:
    buckets = _drawn(seed, np.random.default_rng(seed).random((9, 3, 2)), n=1.5)
    scores, since_s = shifts(buckets, np.array([0, begun * FINE_S]))
    for arm, first in enumerate((0, begun)):
        clearest = max(abs(_brute(buckets, arm, first, split)) for split in range(first + 1, 9))
        assert_allclose(abs(scores[arm]), clearest, atol=1e-5)
        assert_allclose(scores[arm], _brute(buckets, arm, first, int(since_s[arm]) // FINE_S), atol=1e-5)


def _brute(buckets: Buckets, arm: int, first: int, split: int) -> float:
    """Cell by cell, as the definition reads; no difference, no divergence, but for rounding."""
    difference, spread, weight = 0.0, 0.0, 1e-9
    for cell in range(buckets.n.shape[1]):
        n_before, n_after = (buckets.n[part, cell, arm].sum() for part in (slice(first, split), slice(split, None)))
        y_before, y_after = (buckets.total[part, cell, arm].sum() for part in (slice(first, split), slice(split, None)))
        n, y = n_before + n_after, y_before + y_after
        if n_before and n_after:
            w = n_before * n_after / n
            guess = (y + 1) / (n + 2)
            variance = (y - y * y / n + 6 * guess * (1 - guess)) / (n - 1 + 6)
            difference += w * (y_after / n_after - y_before / n_before)
            spread, weight = spread + w * variance, weight + w
    v = max(spread / weight, 1e-9)
    usual, reached = v / (1 + v), min((abs(difference) / weight + v) / (1 + v), 1.0)
    divergence = max(stats.entropy([reached, 1 - reached], [usual, 1 - usual]), 0.0)
    return math.copysign(math.sqrt(2 * weight * divergence), difference)


@pytest.mark.parametrize("share", [0.003, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("n", [5, 40])
def test_a_score_is_never_likelier_by_chance_than_it_says(share: float, n: int) -> None:
    """Against a past of a million coins, P(so many heads or more) ≤ exp(−z²/2), for every number of heads."""
    for heads in range(math.ceil(n * share) + 1, n + 1):
        scores, _ = shifts(_coins(np.array([[[1e6]], [[n]]]), np.array([[[1e6 * share]], [[heads]]])))
        assert stats.binom.sf(heads - 1, n, share) <= math.exp(-(scores[0] ** 2) / 2) * 1.001


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=20))
def test_traffic_that_moves_between_cells_is_no_drift(moves: list[tuple[int, int]]) -> None:
    """Graded ratings that never change, .95 in the one cell and .35 in the other."""
    n = np.array(moves, dtype=float)[:, :, None]
    means = np.array([0.95, 0.35])[:, None]
    scores, _ = shifts(Buckets(np.arange(len(n)) * FINE_S, n, n * means, n * means**2))
    assert_allclose(scores, 0.0, atol=1e-3)


@pytest.mark.parametrize(("after", "direction"), [(0.5, "decline"), (0.999, "improvement")])
def test_a_shift_is_dated_to_the_bucket(after: float, direction: str) -> None:
    (alarm,) = alarms_in({QUALITY: _drawn(1, _steps(0.8, after), n=20.0)}, MODELS)
    assert (alarm.model_id, alarm.subject, alarm.direction) == ("small", "quality", direction)
    assert abs(alarm.since_s // FINE_S - 40) <= 2


def test_more_failures_are_a_decline_and_leave_quality_alone() -> None:
    measures = {QUALITY: _drawn(2, _steps(0.8, 0.8)), FAILURE: _drawn(2, _steps(0.01, 0.2))}
    (alarm,) = alarms_in(measures, MODELS)
    assert (alarm.model_id, alarm.subject, alarm.direction) == ("small", "failure", "decline")


def test_a_check_tells_what_ratings_do_not_show() -> None:
    measures = {QUALITY: _drawn(3, _steps(0.8, 0.8), n=0.1), QUALITY + "valid_json": _drawn(3, _steps(0.99, 0.8))}
    (alarm,) = alarms_in(measures, MODELS)
    assert (alarm.subject, alarm.direction) == ("quality", "decline")


def test_an_alarm_is_where_the_past_begins() -> None:
    """What is known already is not found again; a recovery later is, against what came after the decline."""
    shares = _steps(0.9, 0.5, at=20)
    declined = alarms_in({QUALITY: _drawn(4, shares)}, MODELS)
    assert alarms_in({QUALITY: _drawn(4, shares)}, MODELS, declined) == []
    shares[45:, :, 0] = 0.9
    (recovered,) = alarms_in({QUALITY: _drawn(4, shares)}, MODELS, declined)
    assert (recovered.direction, abs(recovered.since_s // FINE_S - 45) <= 2) == ("improvement", True)


@pytest.mark.parametrize(("earlier_s", "n_found"), [(APART_S - FINE_S, 0), (APART_S, 1)])
def test_no_second_alarm_of_a_kind_within_a_day(earlier_s: int, n_found: int) -> None:
    buckets = {QUALITY: _drawn(5, _steps(0.9, 0.5))}
    (alarm,) = alarms_in(buckets, MODELS)
    before = Alarm(alarm.since_s - earlier_s, "small", "quality", "decline")
    others = [Alarm(alarm.since_s, "large", "quality", "decline"), Alarm(before.since_s, "small", "failure", "decline")]
    assert len(alarms_in(buckets, MODELS, [before, *others])) == n_found


@pytest.mark.parametrize("n_buckets", [0, 1])
def test_nothing_is_found_in_less_than_two_buckets(n_buckets: int) -> None:
    empty = np.ones((n_buckets, 1, 2))
    assert alarms_in({QUALITY: _coins(empty, empty)}, MODELS) == []
    assert alarms_in({}, MODELS) == []


@pytest.mark.parametrize("share", [0.003, 0.5, 0.95])
def test_steady_streams_hardly_ever_raise_an_alarm(share: float) -> None:
    """Ten models for three days, looked at every two hours: .5 alarms per model and hundred days are .15 here."""
    whole = _drawn(6, np.full((3 * 96, 2, 10), share), n=3.0)
    alarms: list[Alarm] = []
    for n in range(8, 3 * 96, 8):
        part = Buckets(whole.start_s[:n], whole.n[:n], whole.total[:n], whole.square[:n])
        alarms += alarms_in({QUALITY: part}, [f"model {i}" for i in range(10)], alarms)
    assert len(alarms) <= 1


def test_what_was_before_weighs_a_tenth_and_150_ratings_at_most() -> None:
    assert_allclose(weight_before(np.array([0.0, 50.0, 1500.0, 6000.0])), [0.1, 0.1, 0.1, 0.025])


def test_the_latest_alarm_counts() -> None:
    alarms = [Alarm(at, "small", "quality", "decline") for at in (900, 90_900, 1_800)]
    assert changed_since([*alarms, Alarm(99_900, "small", "failure", "decline")], "quality") == {"small": 90_900}
