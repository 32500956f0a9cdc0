"""What is presumed before ratings: by hand, by law, and as the first ratings of an incumbent make it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from optimizer.decision.belief import RatingSums, believe
from optimizer.decision.prior import PRIOR_SPREAD, incumbent_shift, prior_shift
from optimizer.domain import Objective

MATCHED = Objective.parse("average:97%")
seeds = st.integers(0, 2**32 - 1)


def test_prior_shift_by_hand() -> None:
    """Scores 10, 20, 30 lie 1.2247 standard deviations apart; no figure, no shift."""
    found = prior_shift(np.array([10.0, np.nan, 30.0, 20.0]))
    assert_allclose(found, PRIOR_SPREAD * np.array([-1.224745, 0.0, 1.224745, 0.0]), atol=1e-6)


@pytest.mark.parametrize("scores", [[np.nan, np.nan], [50.0, np.nan], [50.0, 50.0]])
def test_scores_that_tell_nobody_apart_shift_nobody(scores: list[float]) -> None:
    assert not prior_shift(np.array(scores)).any()


@given(seeds, st.floats(0.1, 100.0), st.floats(-50.0, 50.0))
def test_prior_shift_does_not_depend_on_the_scale_of_scores(seed: int, scale: float, origin: float) -> None:
    scores = np.random.default_rng(seed).normal(0.0, 1.0, 6)
    assert_allclose(prior_shift(scale * scores + origin), prior_shift(scores), atol=1e-9)


@pytest.mark.parametrize("objective", ["average:97%", "floor:97%"])
def test_incumbent_shift_by_hand(objective: str) -> None:
    assert_array_equal(incumbent_shift(Objective.parse(objective), 1, 3), [0.0, PRIOR_SPREAD, 0.0])


@pytest.mark.parametrize("objective", ["average:0.8", "floor:0.8", "budget:0.001", "value:1", "quality"])
def test_nothing_is_presumed_of_an_incumbent_who_is_not_to_be_matched(objective: str) -> None:
    assert not incumbent_shift(Objective.parse(objective), 1, 3).any()


def test_nobody_is_presumed_as_good_as_a_rated_incumbent() -> None:
    """After 40 ratings of .9 the centre is the incumbent's own without a prior; with it newcomers start .04 below."""
    n = np.array([[40.0, 0.0, 0.0]])
    ratings = RatingSums(n, 0.9 * n, 0.9 * n, np.array([0]))
    plain = believe(ratings).mean[0]
    presumed = believe(ratings, prior=incumbent_shift(MATCHED, 0, 3)[None, :]).mean[0]
    assert plain[0] - plain[1] < 0.02
    assert_allclose(presumed[0], plain[0], atol=0.005)
    assert 0.03 < presumed[0] - presumed[1] < 0.06
    assert presumed[1] == presumed[2]


def test_a_wrong_presumption_is_unlearned() -> None:
    """A candidate with 300 ratings of .9 beside an incumbent with 300 of .8 is believed better by nearly .1."""
    n = np.array([[300.0, 300.0]])
    total = n * np.array([0.8, 0.9])
    mean = believe(RatingSums(n, total, total, np.array([0])), prior=incumbent_shift(MATCHED, 0, 2)[None, :]).mean[0]
    assert_allclose(mean[1] - mean[0], 0.1, atol=0.01)
