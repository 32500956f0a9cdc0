"""The time-blocked bootstrap keeps sessions and stretches of time together."""

import numpy as np
import pytest

from optimizer.analysis.estimators import LoggedCalls, bootstrap, time_blocks
from optimizer.errors import InvalidRequest
from tests.analysis.estimators.logs import drawn_log

UNEVEN, MEANS = np.array([[0.7, 0.3]]), np.array([[0.9, 0.6]])


def test_sessions_go_with_their_first_call() -> None:
    """Units 5, 9, 5, 2 begin in the order 5, 9, 2; three blocks have one each."""
    calls = LoggedCalls(
        arm=np.zeros(4, dtype=np.intp),
        propensity=np.array([1.0, 1.0, np.nan, 1.0]),
        reward=np.ones(4),
        context=np.zeros(4, dtype=np.intp),
        unit=np.array([5, 9, 5, 2]),
        time_s=np.arange(4.0),
    )
    assert time_blocks(calls, 3).tolist() == [0, 1, 0, 2]


def test_blocks_are_as_long_as_each_other_and_in_order() -> None:
    block = time_blocks(drawn_log(1, 1_000, UNEVEN, MEANS), 50)
    assert (np.diff(block) >= 0).all()
    assert (np.bincount(block) == 20).all()


def test_the_error_of_a_mean_is_the_textbooks() -> None:
    """Independent calls: blocking changes nothing, so it is s/√n within a sampling error of 10%."""
    calls = drawn_log(2, 2_000, UNEVEN, MEANS)
    block = time_blocks(calls)
    sums, counts = np.bincount(block, calls.reward), np.bincount(block)
    low, high, error = bootstrap(50, lambda times: float(times @ sums / (times @ counts)), np.random.default_rng(2))
    assert error == pytest.approx(calls.reward.std() / np.sqrt(2_000), rel=0.25)
    assert low < calls.reward.mean() < high


def test_slow_swings_of_the_rewards_are_not_taken_for_noise() -> None:
    """Rewards that stay alike for 40 calls: the plain error would be 6 times too small."""
    rng = np.random.default_rng(3)
    calls = drawn_log(3, 2_000, UNEVEN, MEANS)
    rewards = np.repeat(rng.normal(size=50), 40)
    sums = np.bincount(time_blocks(calls), rewards)
    *_, error = bootstrap(50, lambda times: float(times @ sums / 2_000), rng)
    assert error == pytest.approx(rewards.std() / np.sqrt(50), rel=0.25)


@pytest.mark.parametrize("n_blocks", [1, 10])
def test_what_has_no_value_has_no_interval(n_blocks: int) -> None:
    with pytest.raises(InvalidRequest):
        bootstrap(n_blocks, lambda times: float("nan"), np.random.default_rng(0))
