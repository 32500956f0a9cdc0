"""What a target of dollars a call makes of an objective's own solution: it fits, and gives up no more than it must."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from optimizer.decision.chain import Chain, Settled, decide
from optimizer.decision.guard import WARM_UP_RATINGS
from optimizer.decision.held import expected_usd, held_to
from optimizer.decision.situation import Situation
from tests.decision.test_chain import chain, chains, close_race, few, quality, seeds, some_situation, spend

SCORES = ("quality", "average:0.8", "average:97%", "value:0.05", "budget:0.002")
parts = st.floats(0.0, 1.0)
scores = st.sampled_from(SCORES)


def own(situation: Situation, settings_: Chain) -> Settled:
    return decide(situation, settings_).settled


def cheapest(situation: Situation) -> float:
    known = np.where(situation.eligible, situation.cost, np.inf).min(axis=1)
    return float(situation.traffic @ known)


def held(situation: Situation, settings_: Chain, usd: float, quality_min: float | None = None) -> Settled:
    return held_to(situation, settings_, own(situation, settings_), usd, quality_min)


@given(seeds, chains)
@few
def test_what_fits_stays_as_it_is(seed: int, settings_: Chain) -> None:
    situation = some_situation(seed)
    alone = own(situation, settings_)
    enough = expected_usd(situation, settings_, alone)
    assert held_to(situation, settings_, alone, enough, 0.0) is alone


@given(seeds, scores, parts, st.sampled_from((0.0, 60.0)))
@settings(max_examples=150)
def test_scores_are_held_to_any_target_that_the_cheapest_meets(
    seed: int, objective: str, part: float, rated: float
) -> None:
    """Through warm-up, holdout and exploration; a thousandth is for what differs by less than the price can see."""
    situation, asked = some_situation(seed, rated=rated), chain(objective)
    alone = own(situation, asked)
    low, high = cheapest(situation) * 1.001, expected_usd(situation, asked, alone)
    target = low + part * max(high - low, 0.0)
    found = held_to(situation, asked, alone, target, None)
    assert expected_usd(situation, asked, found) <= target * (1.0 + 1e-6)
    assert found.lowered == (high > target * (1.0 + 1e-9))


@given(seeds, scores)
@few
def test_where_nothing_fits_the_cheapest_serve(seed: int, objective: str) -> None:
    situation, asked = some_situation(seed), chain(objective)
    found = held(situation, asked, 0.0)
    assert expected_usd(situation, asked, found) == pytest.approx(cheapest(situation), rel=1e-3)
    assert found.lowered


@given(seeds, parts)
@few
def test_an_average_gives_up_no_quality_that_the_target_pays_for(seed: int, part: float) -> None:
    """No mixture of the incumbent and the votes at a price of the grid, nor the one asked for, is better for it."""
    situation, asked = some_situation(seed), chain("average:97%", exploration=0.0)
    alone = own(situation, asked)
    high = expected_usd(situation, asked, alone)
    target = cheapest(situation) * 1.001 + part * max(high - cheapest(situation) * 1.001, 0.0)
    found = held_to(situation, asked, alone, target, None)
    best = quality(situation, decide(situation, asked, settled=found))
    for kept in (0.0, 0.3, 1.0):
        for price in (0.0, found.price, alone.price):
            other = decide(situation, asked, settled=replace(found, price=price, kept=kept, holdout=found.holdout))
            assert quality(situation, other) <= best + 1e-9 or spend(situation, other) > target * (1.0 - 1e-9)


@given(seeds, st.sampled_from(("quality", "average:97%", "average:0.8")), parts, parts)
@few
def test_more_money_buys_no_less_quality(seed: int, objective: str, one: float, other: float) -> None:
    """Of what is believed, within the 256 scenarios' noise of a hundredth."""
    situation, asked = some_situation(seed), chain(objective, exploration=0.0, holdout=0.0)
    low, high = cheapest(situation) * 1.001, expected_usd(situation, asked, own(situation, asked))
    found = [held(situation, asked, low + part * max(high - low, 0.0)) for part in sorted((one, other))]
    poor, rich = (quality(situation, decide(situation, asked, settled=each)) for each in found)
    assert poor <= rich + 0.02


def test_warm_up_gives_way_to_the_limit_but_not_under_a_floor() -> None:
    situation = close_race()
    situation.belief.n[:] = WARM_UP_RATINGS / 5.0
    alone = own(situation, chain("average:97%"))
    assert alone.holdout == 1.0
    found = held(situation, chain("average:97%"), 0.9 * expected_usd(situation, chain("average:97%"), alone))
    assert (found.holdout, found.lowered) == (0.02, True)
    floor = held(situation, chain("floor:97%"), 1e-9, 0.5)
    assert (floor.holdout, floor.lowered) == (1.0, False)


def test_a_holdout_that_is_too_dear_is_cut_to_what_fits() -> None:
    """The incumbent costs 5, the cheapest 1: a hold-out of .2 spends 1.8, and 1.4 leaves room for half of it."""
    situation = close_race()
    asked = chain("average:97%", holdout=0.2, exploration=0.0)
    found = held(situation, asked, 1.4 * cheapest(situation))
    assert found.holdout == pytest.approx(0.1)
    assert expected_usd(situation, asked, found) == pytest.approx(1.4 * cheapest(situation))


@given(seeds, st.sampled_from(("floor:0.8", "floor:97%")), parts, st.floats(0.0, 1.0))
@settings(max_examples=100)
def test_a_floor_sinks_to_quality_min_and_no_further(
    seed: int, objective: str, part: float, quality_min: float
) -> None:
    situation, asked = some_situation(seed), chain(objective)
    alone = decide(situation, asked)
    high = expected_usd(situation, asked, alone.settled)
    found = held_to(situation, asked, alone.settled, part * high, quality_min)
    made = decide(situation, asked, settled=found)
    assert made.threshold is not None
    assert alone.threshold is not None
    assert (made.threshold >= np.minimum(alone.threshold, quality_min) - 1e-12).all()
    assert (made.threshold <= alone.threshold).all()
    lowest = found.ceiling is not None and found.ceiling <= quality_min + 1e-12
    assert not found.lowered or lowest or expected_usd(situation, asked, found) <= part * high


def test_a_floor_sinks_no_deeper_than_it_must() -> None:
    """A thousandth higher it would overspend."""
    situation, asked = close_race(), chain("floor:0.84", guard=None)
    target = 0.7 * expected_usd(situation, asked, own(situation, asked))
    found = held(situation, asked, target, 0.5)
    assert found.ceiling is not None
    assert 0.5 < found.ceiling < 0.84
    higher = replace(found, ceiling=found.ceiling + 0.001)
    assert expected_usd(situation, asked, found) <= target < expected_usd(situation, asked, higher)


def test_a_sunk_floor_says_what_a_dollar_is_worth() -> None:
    """λ of a budget of that size."""
    situation, asked = close_race(), chain("floor:0.84", guard=None)
    target = 0.7 * expected_usd(situation, asked, own(situation, asked))
    budget = decide(situation, chain("budget:1"), target=target)
    assert held(situation, asked, target, 0.5).price == budget.price
    assert decide(situation, asked, settled=held(situation, asked, target, 0.5)).price == budget.price


@pytest.mark.parametrize("quality_min", [None, 0.9])
def test_a_floor_does_not_sink_without_leave(quality_min: float | None) -> None:
    """None is given, or the floor is lower than the least quality already."""
    situation, asked = close_race(), chain("floor:0.8")
    assert held(situation, asked, 1e-9, quality_min) == own(situation, asked)


@given(seeds, scores, parts)
@few
def test_one_row_has_the_shares_that_it_has_among_all(seed: int, objective: str, part: float) -> None:
    situation, asked = some_situation(seed), chain(objective)
    found = held(situation, asked, part * expected_usd(situation, asked, own(situation, asked)))
    whole = decide(situation, asked, settled=found)
    alone = replace(
        situation,
        context=situation.context[2:],
        cost=situation.cost[2:],
        eligible=situation.eligible[2:],
        incumbent=situation.incumbent[2:],
        traffic=np.ones(1),
    )
    assert_allclose(decide(alone, asked, settled=found).shares[0], whole.shares[2], atol=1e-12)


@given(seeds, scores)
@few
def test_rows_that_nobody_can_serve_cost_nothing(seed: int, objective: str) -> None:
    situation, asked = some_situation(seed), chain(objective)
    situation.eligible[0] = False
    found = held(situation, asked, 0.0)
    assert not decide(situation, asked, settled=found).shares[0].any()
