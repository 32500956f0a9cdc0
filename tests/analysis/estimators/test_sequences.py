"""A confidence sequence holds at all times at once, and is narrower than a published one."""

from dataclasses import replace

import numpy as np
import pytest

from optimizer.analysis.estimators import Options, confidence_sequence
from optimizer.errors import InvalidRequest
from tests.analysis.estimators.logs import drawn_log, logged, same_everywhere

RARE = np.array([[0.9, 0.1], [0.8, 0.2]])
MEANS = np.array([[0.8, 0.6], [0.7, 0.4]])
TRUTH = 0.5


@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_few_logs_ever_leave_the_truth_out(rate: float) -> None:
    """100 logs of 500 calls, weights up to ten: at most 5% of them miss at any look, and 3 standard errors more."""
    missed = 0
    for seed in range(100):
        calls = drawn_log(seed, 500, RARE, MEANS, rate=rate)
        options = Options(rated_chance=np.full(500, rate))
        found = confidence_sequence(calls, same_everywhere(calls, [0.0, 1.0]), options)
        missed += bool(((found.low > TRUTH) | (found.high < TRUTH)).any())
    assert missed <= 5 + 3 * 2.2


def test_limits_only_ever_close_in() -> None:
    calls = drawn_log(1, 4_000, RARE, MEANS)
    found = confidence_sequence(calls, same_everywhere(calls, [0.0, 1.0]))
    assert (np.diff(found.low) >= 0.0).all()
    assert (np.diff(found.high) <= 0.0).all()
    assert 0.3 < found.low[-1] < TRUTH < found.high[-1] < 0.7
    assert found.call.tolist() == list(range(4_000))


def test_it_is_narrower_than_that_of_vw_estimators() -> None:
    """Theirs is another martingale, a gamma-exponential mixture, and has no model of the rewards."""
    sequence = pytest.importorskip("estimators.bandits.cs", reason="vw-estimators is not installed")
    calls = drawn_log(2, 3_000, RARE, MEANS)
    theirs = sequence.Interval(0.0, 1.0)
    for arm, p, reward in zip(calls.arm, calls.propensity, calls.reward, strict=True):
        theirs.add_example(float(p), float(reward), float(arm == 1))
    low, high = theirs.get(0.05)
    found = confidence_sequence(calls, same_everywhere(calls, [0.0, 1.0]))
    assert low < TRUTH < high
    assert found.high[-1] - found.low[-1] < high - low


def test_dollars_scale_the_limits() -> None:
    calls = drawn_log(3, 500, RARE, MEANS)
    target = same_everywhere(calls, [0.5, 0.5])
    quality = confidence_sequence(calls, target)
    dollars = confidence_sequence(calls.with_rewards(2.0 * calls.reward - 1.0), target, bounds=(-1.0, 1.0))
    assert dollars.low[-1] == pytest.approx(2.0 * quality.low[-1] - 1.0)
    assert dollars.high[-1] == pytest.approx(2.0 * quality.high[-1] - 1.0)


def test_a_session_is_one_look() -> None:
    once = drawn_log(4, 300, RARE, MEANS)
    at = np.repeat(np.arange(300), 2)
    later = np.arange(600) % 2 == 1
    twice = replace(once.take(at), propensity=np.where(later, np.nan, once.propensity[at]), unit=once.unit[at])
    found = confidence_sequence(twice, same_everywhere(twice, [0.0, 1.0]))
    alone = confidence_sequence(once, same_everywhere(once, [0.0, 1.0]))
    assert found.low.size == 300
    assert found.low[-1] == pytest.approx(alone.low[-1], abs=0.02)


def test_nothing_is_looked_at_where_the_target_could_not_be_drawn() -> None:
    calls = logged(np.zeros(50, dtype=np.intp), np.tile([1.0, 0.0], (50, 1)), np.ones(50))
    found = confidence_sequence(calls, same_everywhere(calls, [0.0, 1.0]))
    assert found.low.size == 0
    assert found.passed_over == 1.0


def test_rewards_outside_the_bounds_are_refused() -> None:
    calls = drawn_log(5, 50, RARE, MEANS)
    with pytest.raises(InvalidRequest, match="bounds"):
        confidence_sequence(calls, same_everywhere(calls, [0.5, 0.5]), bounds=(0.0, 0.5))
