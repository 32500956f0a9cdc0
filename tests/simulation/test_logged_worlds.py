"""Logs of the world are the engine's: exact propensities, sessions that stay, ratings that hang on the call."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from optimizer.simulation.logged_worlds import CONTEXTS, MODELS, Log, log_calls, rated_chance, traffic, true_means


@pytest.fixture(scope="module")
def log() -> Log:
    return log_calls(3, 1_000, 0.2)


def test_a_seed_gives_one_log(log: Log) -> None:
    again = log_calls(3, 1_000, 0.2)
    assert_array_equal(again.arm, log.arm)
    assert_array_equal(again.distribution, log.distribution)
    assert_array_equal(again.reward, log.reward)


def test_propensities_are_those_of_the_arm_drawn(log: Log) -> None:
    drawn = ~np.isnan(log.propensity)
    assert_array_equal(log.propensity[drawn], log.distribution[drawn, log.arm[drawn]])
    assert_allclose(log.distribution.sum(axis=1), 1.0)


def test_later_turns_stay_with_the_model_of_their_session(log: Log) -> None:
    session = log.traffic.session
    first = np.searchsorted(session, session)
    assert_array_equal(np.isnan(log.propensity), first != np.arange(1_000))
    assert_array_equal(log.arm, log.arm[first])


def test_the_incumbent_serves_alone_at_first_and_not_for_ever(log: Log) -> None:
    assert (log.distribution[:20, 0] == 1.0).all()
    assert (log.distribution[-100:, 0] < 1.0).any()


def test_about_as_many_calls_are_rated_as_asked_and_longer_ones_rather() -> None:
    calls = traffic(1, 20_000)
    chance = rated_chance(calls, np.zeros(20_000, dtype=np.intp), 0.2)
    assert chance.mean() == pytest.approx(0.2, abs=0.03)
    longer = calls.features[:, 0] > 0
    assert chance[longer].mean() > 1.3 * chance[~longer].mean()


def test_thumbs_and_stars_differ_by_context() -> None:
    calls = traffic(2, 5_000)
    kinds = [np.unique(calls.quality[calls.context == number]).tolist() for number in range(len(CONTEXTS))]
    assert kinds == [[0.0, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0]]


def test_the_truth_is_the_mean_of_many_calls() -> None:
    share, means = true_means(50_000)
    other_share, other_means = true_means(50_000, seed=7)
    assert means.shape == (len(CONTEXTS), len(MODELS))
    assert_allclose(share, other_share, atol=0.02)
    assert_allclose(means, other_means, atol=0.02)
