"""The doubly robust estimate is unbiased whatever the model, exact with a perfect one, and says what it cannot see."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.analysis.estimators import LoggedCalls, Options, Predicted, doubly_robust, ips, robust_difference
from optimizer.errors import InvalidRequest
from tests.analysis.estimators.logs import drawn_log, logged, same_everywhere

ANY = Options(min_ess=0.0)
UNEVEN = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3]])
MEANS = np.array([[0.9, 0.6, 0.4], [0.8, 0.7, 0.1]])


def _foreseen(calls: LoggedCalls, reward: np.ndarray) -> Predicted:
    return Predicted(reward, np.ones(reward.shape), np.ones(calls.n_calls, dtype=np.bool_))


def test_it_is_unbiased_over_every_log_there_can_be_with_any_model() -> None:
    """Ten calls of one arm or the other, reward 1 from the second alone; the model thinks the opposite."""
    shares, target = np.array([0.8, 0.2]), [0.5, 0.5]
    total = 0.0
    for arms in itertools.product((0, 1), repeat=10):
        picked = np.array(arms)
        calls = logged(picked, np.tile(shares, (10, 1)), picked.astype(np.float64))
        wrong = _foreseen(calls, np.tile([1.0, 0.3], (10, 1)))
        found = doubly_robust(calls, same_everywhere(calls, target), ANY, ahead=wrong)
        total += np.prod(shares[picked]) * (found.value or 0.0)
    assert total == pytest.approx(0.5)


@settings(deadline=None)
@given(st.integers(0, 50))
def test_with_a_perfect_model_it_has_the_models_value(seed: int) -> None:
    """Rewards without noise: nothing is corrected, and only the mix of contexts is uncertain."""
    calls = drawn_log(seed, 200, UNEVEN, MEANS)
    calls = calls.with_rewards(MEANS[calls.context, calls.arm])
    target = same_everywhere(calls, [0.1, 0.3, 0.6])
    found = doubly_robust(calls, target, ANY, ahead=_foreseen(calls, MEANS[calls.context]))
    expected = (target * MEANS[calls.context]).sum(axis=1)
    assert found.value == pytest.approx(expected.mean())
    assert found.error == pytest.approx(expected.std() / np.sqrt(200))


def test_with_a_model_of_nothing_and_one_context_it_is_ips() -> None:
    calls = replace(drawn_log(3, 500, UNEVEN[:1], MEANS[:1]))
    target = same_everywhere(calls, [0.2, 0.3, 0.5])
    found = doubly_robust(calls, target, ahead=_foreseen(calls, np.zeros((500, 3))))
    plain = ips(calls, target)
    assert found.value == pytest.approx(plain.value)
    assert found.error == pytest.approx(plain.error)


def test_calls_at_which_the_target_could_not_be_drawn_are_passed_over() -> None:
    """A warm-up in which the first arm served alone says nothing of the second."""
    later = drawn_log(4, 600, np.array([[0.5, 0.5]]), np.array([[0.9, 0.3]]))
    arm = np.concatenate([np.zeros(300, dtype=np.intp), later.arm])
    distribution = np.vstack([np.tile([1.0, 0.0], (300, 1)), later.distribution])
    calls = logged(arm, distribution, np.concatenate([np.ones(300), later.reward]))
    found = doubly_robust(calls, same_everywhere(calls, [0.0, 1.0]))
    assert found.low < 0.3 < found.high
    assert found.off_support == 0.0
    assert found.value == pytest.approx(0.3, abs=4 * found.error)


def test_contexts_out_of_reach_widen_the_interval_and_then_refuse() -> None:
    """A tenth of the calls is out of reach; elsewhere means are 0.1 to 0.9, spread 0.26: an error of 0.026 at least."""
    means = np.array([[0.9, 0.1 * number] for number in range(1, 10)] + [[0.9, 0.6]])
    calls = drawn_log(5, 3_000, np.array([[0.5, 0.5]] * 9 + [[1.0, 0.0]]), means)
    target = same_everywhere(calls, [0.0, 1.0])
    found = doubly_robust(calls, target, Options(max_off_support=0.15))
    assert found.off_support == pytest.approx(0.1, abs=0.02)
    assert found.error > 0.023
    assert found.low < means[:, 1].mean() < found.high
    refused = doubly_robust(calls, target, Options(max_off_support=0.05))
    assert refused.value is None
    assert "hardly ever possible" in refused.refused


def test_missing_ratings_are_divided_by_their_chance() -> None:
    """The second context is rated four times as often; its share of the calls must stay one half."""
    calls = drawn_log(6, 6_000, np.array([[0.6, 0.4]] * 2), np.array([[0.9, 0.8], [0.3, 0.2]]))
    seen = np.random.default_rng(6).random(6_000) < np.where(calls.context == 1, 0.8, 0.2)
    calls = calls.with_rewards(np.where(seen, calls.reward, np.nan))
    blind = replace(calls, context=np.zeros_like(calls.context), features=calls.context[:, None].astype(np.float64))
    target = same_everywhere(calls, [0.0, 1.0])
    for found in (doubly_robust(calls, target), doubly_robust(blind, target)):
        assert found.value == pytest.approx(0.5, abs=4 * found.error)
        assert found.error < 0.02


def test_a_session_is_one_unit() -> None:
    """Each call said twice in one session: value and error are those of the calls said once."""
    once = drawn_log(7, 600, UNEVEN, MEANS)
    at = np.repeat(np.arange(600), 2)
    twice = replace(
        once.take(at), propensity=np.where(np.arange(1200) % 2 == 0, once.propensity[at], np.nan), unit=once.unit[at]
    )
    target = same_everywhere(once, [0.2, 0.3, 0.5])
    one = doubly_robust(once, target, ahead=_foreseen(once, MEANS[once.context]))
    other = doubly_robust(twice, target[at], ahead=_foreseen(twice, MEANS[twice.context]))
    assert other.value == pytest.approx(one.value)
    assert other.error == pytest.approx(one.error, rel=1e-3)
    assert other.ess == pytest.approx(one.ess)


def test_without_distributions_the_draws_count_alike() -> None:
    calls = replace(drawn_log(8, 2_000, UNEVEN, MEANS), distribution=None)
    found = doubly_robust(calls, same_everywhere(calls, [0.0, 1.0, 0.0]))
    assert found.value == pytest.approx(0.65, abs=4 * found.error)
    assert "equal variance" not in found.method


@pytest.mark.parametrize("wrong", [{"level": 1.0}, {"rated_chance": np.array([0.0])}])
def test_options_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        Options(**wrong)


def test_chances_of_other_calls_are_refused() -> None:
    calls = drawn_log(8, 50, UNEVEN, MEANS)
    with pytest.raises(InvalidRequest, match="rated_chance"):
        doubly_robust(calls, same_everywhere(calls, [0.0, 1.0, 0.0]), Options(rated_chance=np.ones(3)))


def test_a_policy_beside_itself_differs_by_nothing() -> None:
    calls = drawn_log(5, 400, UNEVEN, MEANS)
    target = same_everywhere(calls, [0.3, 0.3, 0.4])
    found = robust_difference(calls, target, target)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_difference_is_that_of_the_two_estimates_and_narrower_where_policies_are_alike() -> None:
    calls = drawn_log(6, 2_000, UNEVEN, MEANS)
    plain = Options(stabilised=False)
    one, other = (same_everywhere(calls, shares) for shares in ([0.6, 0.3, 0.1], [0.5, 0.4, 0.1]))
    found = robust_difference(calls, one, other)
    alone = [doubly_robust(calls, target, plain) for target in (one, other)]
    assert found.value == pytest.approx(alone[0].value - alone[1].value)
    assert found.error < 0.5 * alone[0].error


def test_the_interval_of_a_difference_holds_as_often_as_it_says() -> None:
    """Truth: .1·.9 − .1·.6 in the first context, .1·.8 − .1·.7 in the second, half of the calls each: .02."""
    n_held = 0
    for seed in range(200):
        calls = drawn_log(seed, 600, UNEVEN, MEANS, rate=0.7)
        found = robust_difference(calls, *(same_everywhere(calls, s) for s in ([0.6, 0.3, 0.1], [0.5, 0.4, 0.1])))
        n_held += found.low <= 0.02 <= found.high
    assert n_held / 200 >= 0.95 - 3 * 0.0154  # three standard errors of a share of .95


def test_a_difference_is_refused_where_either_policy_is() -> None:
    calls = logged(np.zeros(300, dtype=np.intp), np.tile([1.0, 0.0], (300, 1)), np.ones(300))
    known, unknown = (same_everywhere(calls, shares) for shares in ([1.0, 0.0], [0.0, 1.0]))
    assert robust_difference(calls, known, known).refused is None
    assert robust_difference(calls, unknown, known).refused is not None
    assert robust_difference(calls, known, unknown).value is None


def test_calls_that_one_policy_passes_over_still_tell_of_the_other() -> None:
    """In a warm-up the first arm, of reward 0, served alone; then both are drawn evenly, and the second earns 1.

    The second arm is worth 1; what served came to 300/400 · 1/2.
    """
    warm, mixed = np.zeros(100, dtype=np.intp), np.tile([0, 1], 150)
    arm = np.concatenate([warm, mixed])
    shares = np.where(np.arange(400)[:, None] < 100, [1.0, 0.0], [0.5, 0.5])
    calls = logged(arm, shares, arm.astype(np.float64))
    found = robust_difference(
        calls, same_everywhere(calls, [0.0, 1.0]), shares, ahead=_foreseen(calls, np.zeros((400, 2)))
    )
    assert found.value == pytest.approx(1.0 - 0.375)
