"""A judge's mean is corrected by people's ratings, as by ppi-python, and is never worse than people alone."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from optimizer.analysis.estimators import Options, corrected_rewards, judged_mean
from optimizer.errors import InvalidRequest

NAN = float("nan")


def _ratings(seed: int, n: int, n_people: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.beta(4.0, 2.0, n)
    judge = np.clip(truth + 0.1 + 0.05 * rng.normal(size=n), 0.0, 1.0)
    people = np.where(np.arange(n) < n_people, truth, NAN)
    return people, judge, truth


def test_a_judge_is_corrected_by_hand() -> None:
    """λ = 1: the judge alone says (0.8 + 0.6)/2; where people rated it was too high by (0.1 + 0.3)/2."""
    people, judge = np.array([0.5, 0.2, NAN, NAN]), np.array([0.6, 0.5, 0.8, 0.6])
    assert judged_mean(people, judge, np.arange(4), tuning=1.0).value == pytest.approx(0.7 - 0.2)
    assert judged_mean(people, judge, np.arange(4), tuning=0.0).value == pytest.approx(0.35)


@pytest.mark.parametrize("tuning", [0.0, 0.5, 1.0])
def test_it_is_that_of_ppi_python(tuning: float) -> None:
    ppi = pytest.importorskip("ppi_py", reason="ppi-python (group bench) is not installed")
    people, judge, _ = _ratings(1, 3_000, 300)
    ours = judged_mean(people, judge, np.arange(3_000), tuning=tuning)
    theirs = (people[:300], judge[:300], judge[300:])
    assert ours.value == pytest.approx(float(np.squeeze(ppi.ppi_mean_pointestimate(*theirs, lam=tuning))))
    low, high = (float(np.squeeze(limit)) for limit in ppi.ppi_mean_ci(*theirs, alpha=0.05, lam=tuning))
    assert_allclose([ours.low, ours.high], [low, high], atol=5e-4)


def test_its_tuning_is_about_that_of_ppi_python() -> None:
    ppi = pytest.importorskip("ppi_py", reason="ppi-python (group bench) is not installed")
    people, judge, _ = _ratings(2, 3_000, 300)
    ours = judged_mean(people, judge, np.arange(3_000))
    low, high = ppi.ppi_mean_ci(people[:300], judge[:300], judge[300:], alpha=0.05)
    assert_allclose([ours.low, ours.high], [float(np.squeeze(low)), float(np.squeeze(high))], atol=2e-3)


def test_a_good_judge_narrows_and_a_useless_one_does_no_harm() -> None:
    people, judge, _ = _ratings(3, 2_000, 200)
    noise = np.random.default_rng(3).random(2_000)
    alone = judged_mean(people, judge, np.arange(2_000), tuning=0.0)
    assert judged_mean(people, judge, np.arange(2_000)).error < 0.6 * alone.error
    assert judged_mean(people, noise, np.arange(2_000)).error == pytest.approx(alone.error, rel=0.03)


def test_the_interval_covers_the_mean() -> None:
    """400 samples of 100 people's ratings beside 900 of the judge's: .95 within 3 standard errors of .011."""
    hits = 0
    for seed in range(400):
        people, judge, _ = _ratings(10 + seed, 1_000, 100)
        found = judged_mean(people, judge, np.arange(1_000))
        hits += found.low < 4 / 6 < found.high
    assert abs(hits / 400 - 0.95) < 0.033


def test_people_who_rate_some_calls_rather_are_weighed_by_their_chance() -> None:
    """Good replies are rated by people four times as often."""
    rng = np.random.default_rng(4)
    _, judge, truth = _ratings(4, 8_000, 0)
    chance = np.where(truth > 2 / 3, 0.4, 0.1)
    people = np.where(rng.random(8_000) < chance, truth, NAN)
    found = judged_mean(people, judge, np.arange(8_000), Options(rated_chance=chance))
    assert found.value == pytest.approx(truth.mean(), abs=4 * found.error)
    assert judged_mean(people, judge, np.arange(8_000), tuning=0.0).value > truth.mean() + 0.05


def test_ratings_of_one_session_count_as_one() -> None:
    people, judge, _ = _ratings(5, 1_000, 100)
    once = judged_mean(people, judge, np.arange(1_000))
    twice = judged_mean(np.repeat(people, 2), np.repeat(judge, 2), np.repeat(np.arange(1_000), 2))
    assert twice.error == pytest.approx(once.error)


def test_corrected_rewards_by_hand() -> None:
    """λ = 1, rated with chance ½: judge 0.6 and people 0.5 give 0.6 − 0.1/½; unrated ones keep the judge's."""
    found = corrected_rewards(np.array([0.5, NAN, 0.7]), np.array([0.6, 0.8, NAN]), np.full(3, 0.5))
    assert_allclose(found, [0.4, 0.8, NAN])


def test_a_judge_that_nobody_checked_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="people"):
        judged_mean(np.array([NAN, 0.5]), np.array([0.5, NAN]), np.arange(2))
