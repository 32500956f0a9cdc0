"""IPS, SNIPS and the direct method agree with arithmetic by hand, with vw-estimators, and with full enumeration."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from optimizer.analysis.estimators import Estimate, LoggedCalls, Options, direct_method, doubly_robust, ips, snips
from optimizer.errors import InvalidRequest
from tests.analysis.estimators.logs import drawn_log, logged, same_everywhere

ANY = Options(min_ess=0.0)
FEW = settings(max_examples=25, deadline=None)
UNEVEN = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3]])
MEANS = np.array([[0.9, 0.6, 0.4], [0.8, 0.7, 0.1]])


def test_ips_and_snips_by_hand() -> None:
    """Weights ½/¼ = 2 and ½/¾ = ⅔ of rewards 1 and ½: IPS (2 + ⅓)/2, SNIPS (2 + ⅓)/(2 + ⅔)."""
    calls = logged(np.array([0, 1]), np.array([[0.25, 0.75], [0.25, 0.75]]), np.array([1.0, 0.5]))
    target = same_everywhere(calls, [0.5, 0.5])
    assert ips(calls, target, ANY).value == pytest.approx(7 / 6)
    assert snips(calls, target, ANY).value == pytest.approx(7 / 8)
    assert ips(calls, target, ANY).ess == pytest.approx((8 / 3) ** 2 / (4 + 4 / 9))


def test_ips_with_a_known_chance_of_being_rated_by_hand() -> None:
    """One of two calls is rated, with chance ½, reward 1 and weight 1: 1/½/2 = 1."""
    calls = logged(np.array([0, 0]), np.ones((2, 1)), np.array([1.0, math.nan]))
    options = Options(min_ess=0.0, rated_chance=np.array([0.5, 0.5]))
    assert ips(calls, np.ones((2, 1)), options).value == pytest.approx(1.0)


def test_ips_is_unbiased_over_every_log_there_can_be() -> None:
    """All draws and thumbs of three calls, each by its probability: the mean is the target's value exactly."""
    shares, means, target = np.array([0.8, 0.2]), np.array([0.3, 0.9]), [0.5, 0.5]
    total = 0.0
    for arms in itertools.product((0, 1), repeat=3):
        for thumbs in itertools.product((0.0, 1.0), repeat=3):
            picked = np.array(arms)
            chance = np.prod(shares[picked] * np.where(thumbs, means[picked], 1.0 - means[picked]))
            calls = logged(picked, np.tile(shares, (3, 1)), np.array(thumbs))
            total += chance * (ips(calls, same_everywhere(calls, target), ANY).value or 0.0)
    assert total == pytest.approx(0.6)


@pytest.mark.parametrize("seed", range(3))
def test_ips_and_snips_are_those_of_vw_estimators(seed: int) -> None:
    """Its Gaussian interval has normal quantiles where ours has Student's, all but the same at 500 calls."""
    gaussian = pytest.importorskip("estimators.bandits.gaussian", reason="vw-estimators is not installed")
    from estimators.bandits import ips as vw_ips
    from estimators.bandits import snips as vw_snips

    calls = drawn_log(seed, 500, UNEVEN, MEANS)
    target = same_everywhere(calls, [0.2, 0.3, 0.5])
    theirs = vw_ips.Estimator(), vw_snips.Estimator(), gaussian.Interval()
    for arm, p, reward in zip(calls.arm, calls.propensity, calls.reward, strict=True):
        for each in theirs:
            each.add_example(p, reward, target[0, arm])
    ours = ips(calls, target)
    assert ours.value == pytest.approx(theirs[0].get())
    assert snips(calls, target).value == pytest.approx(theirs[1].get())
    assert_allclose([ours.low, ours.high], theirs[2].get(0.05), atol=2e-3)


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=40, max_size=80))
def test_on_its_own_policy_every_estimate_is_the_mean(rewards: list[float]) -> None:
    """Weights of 1; the robust one sees one context, and leaves out the first calls, which only teach."""
    calls = logged(np.zeros(len(rewards), dtype=np.intp), np.ones((len(rewards), 1)), np.array(rewards))
    target = np.ones((len(rewards), 1))
    for estimate in (ips(calls, target, ANY), snips(calls, target, ANY)):
        assert estimate.value == pytest.approx(np.mean(rewards), abs=1e-9)
        assert estimate.ess == pytest.approx(len(rewards))
    robust = doubly_robust(calls, target, ANY)
    taught = round(len(rewards) / (len(rewards) // 10))
    if robust.off_support == 0.0 and taught >= 10:
        assert robust.value == pytest.approx(np.mean(rewards[taught:]), abs=1e-9)


def _every(calls: LoggedCalls, target: np.ndarray) -> dict[str, Estimate]:
    modelled = direct_method(calls, target, ANY, rng=np.random.default_rng(1), n_resamples=20)
    robust = doubly_robust(calls, target, ANY)
    return {"ips": ips(calls, target, ANY), "snips": snips(calls, target, ANY), "dm": modelled, "dr": robust}


@FEW
@given(st.integers(0, 30), st.floats(0.01, 1e4))
def test_another_unit_scales_every_estimate(seed: int, unit: float) -> None:
    """Dollars or cents: value and limits are multiplied, and nothing else happens."""
    calls = drawn_log(seed, 300, UNEVEN, MEANS)
    target = same_everywhere(calls, [0.3, 0.4, 0.3])
    before, after = _every(calls, target), _every(calls.with_rewards(calls.reward * unit), target)
    for name, one in before.items():
        scaled = [one.value * unit, one.low * unit, one.high * unit]
        assert_allclose([after[name].value, after[name].low, after[name].high], scaled, rtol=1e-6)


@FEW
@given(st.integers(0, 30), st.floats(-5.0, 5.0))
def test_a_shift_moves_all_but_ips_along(seed: int, shift: float) -> None:
    """IPS alone is not indifferent to where 0 is: it counts weights that do not sum to the number of calls."""
    calls = drawn_log(seed, 300, UNEVEN, MEANS)
    target = same_everywhere(calls, [0.3, 0.4, 0.3])
    before, after = _every(calls, target), _every(calls.with_rewards(calls.reward + shift), target)
    for name in ("snips", "dm", "dr"):
        moved = [before[name].value + shift, before[name].low + shift, before[name].high + shift]
        assert_allclose([after[name].value, after[name].low, after[name].high], moved, atol=1e-6)


@FEW
@given(st.integers(0, 30), st.randoms(use_true_random=False))
def test_the_order_inside_a_block_does_not_matter(seed: int, random) -> None:
    """400 calls are 20 blocks of 20: each may be shuffled, for predictions come from the blocks before it."""
    calls = drawn_log(seed, 400, UNEVEN, MEANS)
    order = np.concatenate([random.sample(range(start, start + 20), 20) for start in range(0, 400, 20)])
    shuffled = logged(calls.arm[order], calls.distribution[order], calls.reward[order], calls.context[order])
    target = same_everywhere(calls, [0.3, 0.4, 0.3])
    for estimate in (ips, snips, doubly_robust):
        one, other = estimate(calls, target, ANY), estimate(shuffled, target, ANY)
        assert_allclose([one.value, one.low, one.high], [other.value, other.low, other.high])


def test_the_direct_method_knows_what_its_model_can_express() -> None:
    calls = drawn_log(5, 4_000, UNEVEN, MEANS)
    found = direct_method(calls, same_everywhere(calls, [0.0, 1.0, 0.0]), rng=np.random.default_rng(0))
    assert found.low < 0.65 < found.high
    assert found.value == pytest.approx(0.65, abs=0.03)


def test_too_small_an_effective_sample_is_refused_with_the_reason() -> None:
    calls = drawn_log(1, 400, UNEVEN, MEANS)
    found = ips(calls, same_everywhere(calls, [0.0, 0.0, 1.0]))
    assert found.value is found.low is found.high is None
    assert found.ess < 100
    assert "the log is worth" in found.refused
    assert found.overlap.weights.n_zero == (calls.arm != 2).sum()


@pytest.mark.parametrize("target", [np.ones((5, 3)), np.full((400, 3), 0.5), np.full((400, 2), 0.5)])
def test_a_target_that_is_no_distribution_is_refused(target: np.ndarray) -> None:
    with pytest.raises(InvalidRequest, match="target"):
        ips(drawn_log(1, 400, UNEVEN, MEANS), target)
