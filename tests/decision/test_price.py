"""The price solver against a scan of its whole grid, and the pace within its clip."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.decision.belief import FloatArray, RatingSums
from optimizer.decision.price import (
    _GRID_SIZE,
    _RATIO,
    HORIZON_CALLS,
    PACE_HIGH,
    PACE_LOW,
    SURPLUS_CALLS,
    Pace,
    cheapest_within,
    highest_price,
    shortfall,
)

HIGHEST = 3000.0
LAST = math.ceil(math.log(HIGHEST, _RATIO))
GRID = np.array([_RATIO**power for power in range(LAST - _GRID_SIZE, LAST + 1)])
seeds = st.integers(0, 2**32 - 1)
guesses = st.one_of(st.just(0.0), st.floats(1e-12, 1e9))


class Falling:
    """A random step function that falls from 1 towards 0, with its steps anywhere on the grid."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 12))
        self.edges = np.sort(np.exp(rng.uniform(np.log(GRID[0]), np.log(GRID[-1]), n)))
        self.levels = np.sort(rng.uniform(0.0, 1.0, n + 1))[::-1]
        self.target = float(rng.uniform(-0.05, 1.05))

    def __call__(self, price: float) -> float:
        return float(self.levels[np.searchsorted(self.edges, price, side="right")])

    def on_grid(self) -> FloatArray:
        return np.asarray(self.levels[np.searchsorted(self.edges, GRID, side="right")])


@given(seeds, guesses)
@settings(max_examples=200)
def test_cheapest_within_is_the_first_price_of_a_scan(seed: int, guess: float) -> None:
    """0 stands for the lowest price of the grid, the highest for none at all."""
    spend = Falling(seed)
    within = np.flatnonzero(spend.on_grid() <= spend.target)
    expected = HIGHEST if not len(within) else 0.0 if within[0] == 0 else min(GRID[within[0]], HIGHEST)
    assert cheapest_within(spend, spend.target, HIGHEST, guess) == expected


@given(seeds, guesses, guesses)
def test_the_guess_never_changes_the_answer(seed: int, one: float, other: float) -> None:
    curve = Falling(seed)
    found = [cheapest_within(curve, curve.target, HIGHEST, guess) for guess in (one, other)]
    assert found[0] == found[1]


@pytest.mark.parametrize("guess", [0.0, 1e-9, 1.0, HIGHEST])
def test_what_never_holds_takes_the_highest_price_and_what_always_holds_none(guess: float) -> None:
    assert cheapest_within(lambda _: 2.0, 1.0, HIGHEST, guess) == HIGHEST
    assert cheapest_within(lambda _: 0.5, 1.0, HIGHEST, guess) == 0.0


def test_a_good_guess_saves_most_of_the_search() -> None:
    asked: list[float] = []

    def spend(price: float) -> float:
        asked.append(price)
        return 1.0 / (1.0 + price)

    found = cheapest_within(spend, 0.5, HIGHEST)
    cold = len(asked)
    cheapest_within(spend, 0.5, HIGHEST, found)
    assert len(asked) - cold <= 6 < cold <= 30


@given(seeds)
def test_at_the_highest_price_the_cheapest_wins_by_cost_alone(seed: int) -> None:
    """Two costs that differ by a thousandth of the least are then further apart than any two qualities."""
    rng = np.random.default_rng(seed)
    cost = np.exp(rng.normal(-7.0, 1.5, (3, 4)))
    cost[:, 1] = cost[:, 0] * 1.001
    apart = np.diff(np.sort(cost, axis=1), axis=1)
    charge = highest_price(cost, np.ones(cost.shape, dtype=bool)) * apart
    assert (charge[apart >= cost.min() * 1e-3] > 1.0).all()


@pytest.mark.parametrize("cost", [(0.0, 0.0), (0.0, 1e-9), (0.0, 5.0), (np.nan, 1e-3), (1e-4, 1e-4)])
def test_the_highest_price_is_a_positive_number_also_where_a_model_is_free(cost: tuple[float, float]) -> None:
    found = highest_price(np.array([cost]), np.ones((1, 2), dtype=bool))
    assert 0.0 < found < math.inf


@pytest.mark.parametrize(("cost", "eligible"), [(1.0, False), (np.nan, True)])
def test_the_highest_price_is_a_number_where_there_is_nothing_to_choose_from(cost: float, eligible: bool) -> None:
    assert 0.0 < highest_price(np.full((1, 2), cost), np.full((1, 2), eligible)) < math.inf


def test_the_highest_price_looks_at_eligible_arms_only() -> None:
    cost = np.array([[1e-9, 1e-3]])
    assert highest_price(cost, np.array([[False, True]])) < highest_price(cost, np.array([[True, True]]))


def test_shortfall_by_hand() -> None:
    """10 calls at .9 and 5 at .8 promise 13; 8 + 4 = 12 were given, 1 short. More than promised is no shortfall."""
    n = np.array([[4.0, 6.0], [5.0, 0.0]])
    total = np.array([[3.0, 5.0], [4.0, 0.0]])
    floor = np.array([0.9, 0.8])
    assert shortfall(RatingSums(n, total, total, np.arange(2)), floor) == pytest.approx(1.0)
    assert shortfall(RatingSums(n, n, n, np.arange(2)), floor) == 0.0


def test_a_surplus_that_nobody_needs_is_kept_for_some_calls_only_and_a_debt_whole() -> None:
    """10 calls of $0.30 where $1 was promised leave $7; a thousand free ones leave 50 calls' worth, not 1,000."""
    assert Pace().after(10, 3.0, 1.0).surplus == pytest.approx(7.0)
    assert Pace().after(1_000, 0.0, 1.0).surplus == SURPLUS_CALLS
    assert Pace().after(10, 500.0, 1.0).surplus == -490.0


def test_a_surplus_is_spread_over_the_horizon() -> None:
    """A fifth of a budget's worth per call of the horizon saved: aim at 1.2 of the budget."""
    usd = 0.002
    assert Pace(0.2 * usd * HORIZON_CALLS, 50.0).budget_target(usd) == pytest.approx(1.2 * usd)
    assert Pace().budget_target(usd) == usd


@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e3))
def test_the_pace_of_a_budget_is_clipped(surplus: float, usd: float) -> None:
    target = Pace(surplus, 10.0).budget_target(usd)
    assert PACE_LOW * usd * (1 - 1e-12) <= target <= PACE_HIGH * usd * (1 + 1e-12)


def test_an_average_pays_back_what_it_fell_short_but_saves_no_surplus() -> None:
    """8 short over 400 calls: .02 more; over the first 20 calls the horizon of 200 divides it: 8/200 = .04."""
    assert Pace(-8.0, 2.0 * HORIZON_CALLS).average_target(0.8, 1.0) == pytest.approx(0.8 + 4.0 / HORIZON_CALLS)
    assert Pace(-8.0, 20.0).average_target(0.8, 1.0) == pytest.approx(0.8 + 8.0 / HORIZON_CALLS)
    assert Pace(8.0, 400.0).average_target(0.8, 1.0) == 0.8


def test_paying_back_takes_at_most_a_third_of_the_room_up_to_the_incumbent() -> None:
    """From .90 to the incumbent's .96 there is room for .02; above the incumbent there is none."""
    assert Pace(-800.0, 400.0).average_target(0.90, 0.96) == pytest.approx(0.92)
    assert Pace(-800.0, 400.0).average_target(0.90, 0.85) == 0.90
