"""Logged calls know which draw settled each call, and refuse what contradicts itself."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from optimizer.analysis.estimators import LoggedCalls, importance_weights, off_support, supported, whole_sessions
from optimizer.errors import InvalidRequest

NAN = float("nan")


@pytest.fixture
def calls() -> LoggedCalls:
    """Two sessions, interleaved: 7 has three turns and draws anew at its third, 3 has two."""
    return LoggedCalls(
        arm=np.array([0, 1, 0, 1, 1]),
        propensity=np.array([0.5, 0.25, NAN, NAN, 0.2]),
        reward=np.array([1.0, NAN, 0.0, 1.0, 0.5]),
        context=np.zeros(5, dtype=np.intp),
        unit=np.array([7, 3, 7, 3, 7]),
        time_s=np.arange(5.0),
        distribution=np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0], [1.0, 0.0], [0.8, 0.2]]),
    )


def test_later_turns_carry_the_weight_of_their_draw(calls: LoggedCalls) -> None:
    """Under a target of 0.4 and 0.6 the draws weigh 0.8, 2.4 and 3."""
    assert_array_equal(calls.draw, [0, 1, 0, 1, 4])
    weights = importance_weights(calls, np.tile([0.4, 0.6], (5, 1)))
    assert weights.tolist() == pytest.approx([0.8, 2.4, 0.8, 2.4, 3.0])
    assert (calls.n_units, calls.n_calls) == (2, 5)


def test_support_is_that_of_the_draw(calls: LoggedCalls) -> None:
    """Only the third row could not draw arm 1, and that was not drawn from."""
    always_second = np.tile([0.0, 1.0], (5, 1))
    assert supported(calls, always_second).all()
    assert calls.distribution is not None
    shares, propensity = calls.distribution.copy(), calls.propensity.copy()
    shares[0], propensity[0] = [1.0, 0.0], 1.0
    first = replace(calls, distribution=shares, propensity=propensity)
    assert off_support(first, always_second) == pytest.approx(0.4)
    assert_array_equal(supported(first, always_second), [False, True, False, True, True])


def test_calls_since_leave_out_sessions_that_began_before(calls: LoggedCalls) -> None:
    assert_array_equal(calls.beginning(1.0).unit, [3, 3])


def test_sessions_cut_at_their_beginning_can_be_left_out(calls: LoggedCalls) -> None:
    kept = whole_sessions(calls.unit[1:], calls.propensity[1:])
    assert_array_equal(kept, [True, False, True, False])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("arm", np.array([0, 1, 0, 1, 2])),
        ("arm", np.array([0, 1, 0, 1, -1])),
        ("propensity", np.array([0.5, NAN, NAN, NAN, 0.2])),
        ("propensity", np.array([0.5, 0.0, NAN, NAN, 0.2])),
        ("propensity", np.array([0.4, 0.25, NAN, NAN, 0.2])),
        ("reward", np.array([1.0, np.inf, 0.0, 1.0, 0.5])),
        ("reward", np.array([1.0])),
        ("time_s", np.array([0.0, 2.0, 1.0, 3.0, 4.0])),
        ("context", np.array([0, 0, 0, 0, -1])),
        ("features", np.full((5, 1), NAN)),
        ("features", np.zeros(5)),
        ("distribution", np.full((5, 2), 0.4)),
    ],
)
def test_what_contradicts_itself_is_refused(calls: LoggedCalls, field: str, value: np.ndarray) -> None:
    with pytest.raises(InvalidRequest):
        replace(calls, **{field: value})
