"""Savings of parts add up, with errors of independent parts; off-policy savings have the truth in their limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.analysis.combining import off_policy_saving, total_saving
from optimizer.analysis.savings import Saving
from tests.analysis.estimators.logs import drawn_log, same_everywhere

KNOWN = Saving("experiment", 100, 1, 3.0, 0.0, 7.0, 10.0, 7.0, 0.3, 0.0, 0.7)
OTHER = Saving("counterfactual", 50, 0, 5.0, 1.0, 8.0, 30.0, 25.0, 1 / 6, 0.1, 0.2)
BLIND = Saving("counterfactual", 1, 0, 1.0, None, None, 2.0, 1.0, 0.5)
SHARES, MEANS = np.array([[0.4, 0.6]]), np.array([[0.8, 0.2]])


def test_two_parts_by_hand() -> None:
    """Below 3 and 4 make 5, above 4 and 3 make 5; shares weigh ¼ and ¾: below √(0.075² + 0.05²)."""
    found = total_saving([KNOWN, OTHER])
    assert (found.saved_usd, found.low_usd, found.high_usd) == pytest.approx((8.0, 3.0, 13.0))
    assert (found.baseline_usd, found.paid_usd, found.n_calls, found.n_unknown) == (40.0, 32.0, 150, 1)
    assert found.share == pytest.approx(0.2)
    assert found.share_low == pytest.approx(0.2 - np.hypot(0.075, 0.05))
    assert found.method == "sum of parts: 25% by experiment; 75% by counterfactual"


def test_a_part_without_limits_leaves_the_sum_without() -> None:
    found = total_saving([KNOWN, BLIND])
    assert (found.saved_usd, found.low_usd, found.high_usd) == (4.0, None, None)
    assert (found.share_low, found.share_high) == (None, None)


@given(st.permutations([KNOWN, OTHER, BLIND]))
def test_the_order_of_parts_does_not_matter(parts: list[Saving]) -> None:
    one, other = total_saving(parts), total_saving([KNOWN, OTHER, BLIND])
    assert one.saved_usd == pytest.approx(other.saved_usd)
    assert one.baseline_usd == pytest.approx(other.baseline_usd)


def test_one_part_is_itself() -> None:
    found = total_saving([KNOWN])
    assert (found.method, found.low_usd, found.high_usd) == ("experiment", 0.0, 7.0)
    assert total_saving([]).saved_usd == 0.0


def test_an_off_policy_saving_has_the_truth_in_its_limits() -> None:
    """The first arm costs 0.8 a call and serves 40% of 2,000; the baseline would have had it serve all: 1,600."""
    calls = drawn_log(1, 2_000, SHARES, MEANS)
    found = off_policy_saving(calls, same_everywhere(calls, [1.0, 0.0]))
    assert found.paid_usd == pytest.approx(calls.reward.sum())
    assert found.low_usd < 1_600 - found.paid_usd < found.high_usd
    assert found.share_low < 1 - found.paid_usd / 1_600 < found.share_high
    assert found.method.startswith("off-policy estimate")


def test_unknown_costs_are_left_out_of_every_sum() -> None:
    calls = drawn_log(2, 2_000, SHARES, MEANS, rate=0.9)
    found = off_policy_saving(calls, same_everywhere(calls, [1.0, 0.0]))
    assert found.n_calls + found.n_unknown == 2_000
    assert found.n_unknown == np.isnan(calls.reward).sum()
    assert found.baseline_usd == pytest.approx(0.8 * found.n_calls, rel=0.05)


def test_a_baseline_that_never_served_has_no_estimate() -> None:
    calls = drawn_log(3, 500, np.array([[1.0, 0.0]]), MEANS)
    assert off_policy_saving(calls, same_everywhere(calls, [0.0, 1.0])) is None
