"""The price λ of a dollar in units of quality: solved for a spend, and paced from block to block."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optimizer.decision.belief import FloatArray, RatingSums

HORIZON_CALLS = 200.0
SURPLUS_CALLS = 50.0
PACE_LOW, PACE_HIGH = 0.2, 1.5
_RATIO = 2.0 ** (1 / 128)  # of neighbouring λ on the grid, half a percent
_GRID_SIZE = 128 * 40


def cheapest_within(spend: Callable[[float], float], target_usd: float, highest: float, guess: float = 0.0) -> float:
    """Return the smallest λ at which the expected spend meets the target.

    Parameters
    ----------
    spend : callable
        Expected dollars a call at λ; falls as λ rises.
    target_usd : float
    highest : float
        λ at which only cost counts; returned when even that overspends.
    guess : float
        Where to look first, such as the last solution. It saves time and changes nothing: solutions lie on one grid.
    """
    return _first(lambda price: spend(price) <= target_usd, highest, guess)


def _first(holds: Callable[[float], bool], highest: float, guess: float) -> float:
    """Return the first λ of the grid 0, …, 1/r, 1, r, r², … at which `holds`, assumed to stay true; else `highest`."""
    last = math.ceil(math.log(highest, _RATIO))
    first = last - _GRID_SIZE
    at = last if guess <= 0.0 else min(max(round(math.log(guess, _RATIO)), first), last)
    low, high, step = first - 1, last, 4
    if holds(_RATIO**at):
        high = at
        while high > first and holds(_RATIO ** max(high - step, first)):
            high, step = max(high - step, first), step * 4
        low = max(high - step, first - 1)
    else:
        low = at
        while low < last and not holds(_RATIO ** min(low + step, last)):
            low, step = min(low + step, last), step * 4
        high = min(low + step, last)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(_RATIO**middle) else (middle, high)
    if high == first:
        return 0.0  # holds as low as it goes: a dollar need not weigh anything
    return min(_RATIO**high, highest)


def highest_price(cost: FloatArray, eligible: np.ndarray) -> float:
    """Return a λ at which one unit of quality buys less than the smallest difference of cost that matters."""
    known = cost[eligible & np.isfinite(cost)]
    if not known.size:
        return 1.0  # nothing to choose from: any price does
    return float(2.0 / max(known.min() * 1e-3, known.max() * 1e-9, 1e-15))


def shortfall(ratings: RatingSums, floor: FloatArray) -> float:
    """Return by how much the rated calls fell short of their floors in all; 0 where they did not.

    Parameters
    ----------
    ratings : RatingSums
    floor : ndarray, shape (n_contexts,)
        Mean quality asked for in each context.
    """
    return max(float((ratings.n.sum(axis=1) @ floor) - ratings.total.sum()), 0.0)


@dataclass(frozen=True)
class Pace:
    """What was spent, or how much quality was given, against what was promised, over the calls so far.

    `surplus` is in dollars (promised − spent) for a budget and in quality (given − promised, summed over rated
    calls) for an average.
    """

    surplus: float = 0.0
    n: float = 0.0

    def after(self, n: float, spent_usd: float, usd_per_call: float) -> "Pace":
        """Return the pace after `n` more calls that cost `spent_usd` in all, where `usd_per_call` was promised.

        A surplus is kept for 50 calls' worth at most: what nobody needed is not there to be wasted later.
        """
        surplus = self.surplus + n * usd_per_call - spent_usd
        return Pace(min(surplus, SURPLUS_CALLS * usd_per_call), self.n + n)

    def budget_target(self, usd_per_call: float) -> float:
        """Return the spend to aim at, so that the next 200 calls use up the surplus or pay back the debt."""
        wanted = usd_per_call + self.surplus / HORIZON_CALLS
        return float(np.clip(wanted, PACE_LOW * usd_per_call, PACE_HIGH * usd_per_call))

    def average_target(self, floor: float, incumbent: float) -> float:
        """Return the mean quality to aim at: as many calls ahead as lie behind make up for the shortfall so far.

        At most a third of the room between the floor and the incumbent's mean quality goes into that, so that learning,
        which costs quality, never stops.
        """
        room = max(incumbent - floor, 0.0) / 3.0
        return floor + min(max(-self.surplus, 0.0) / max(self.n, HORIZON_CALLS), room)
