"""From a baseline's index to shares by production's price solver, pacing, warm-up and holdout: learning competes."""

import math
from dataclasses import dataclass, replace

import numpy as np

from optimizer.decision.belief import BoolArray, FloatArray, IntArray, RatingSums
from optimizer.decision.choice import explore
from optimizer.decision.guard import WARM_UP_RATINGS, hold_out
from optimizer.decision.price import Pace, cheapest_within, highest_price, shortfall
from optimizer.domain import Objective

_LEAST_EXPLORATION = 1e-4
_STEP = 2.0 ** (1 / 128)  # between neighbouring λ of the solver
_OCTAVES_BELOW, _N_PRICES = 8, 48  # λ of an average: from 2⁻⁸ quality for the dearest call, half an octave apart


@dataclass(frozen=True)
class Indexed:
    """What a baseline thinks of every arm, for rows of traffic.

    Attributes
    ----------
    index : ndarray, shape (n_rows, n_arms)
        What choices are made by: an estimate of quality, with the baseline's optimism in it.
    mean : ndarray, shape (n_rows, n_arms)
        The estimate without it: what expected quality is measured by.
    cost : ndarray, shape (n_rows, n_arms)
    traffic : ndarray, shape (n_rows,)
        Sums to 1.
    floor : ndarray, shape (n_rows,), or None
        The quality asked for, where one is.
    incumbent : int
    exploration : float
        Share spread evenly over all arms.
    holdout : float
        Share that the incumbent keeps; 1 while it warms up.
    """

    index: FloatArray
    mean: FloatArray
    cost: FloatArray
    traffic: FloatArray
    floor: FloatArray | None
    incumbent: int
    exploration: float
    holdout: float

    def scored(self, price: float) -> FloatArray:
        """Return the shares when the arm with the best index − λ·cost is chosen."""
        return self._served(best_score(self.index, self.cost, price))

    def cheapest_good_enough(self, *, relative: bool) -> FloatArray:
        """Return the shares when the cheapest arm with an index at the floor is chosen, else the incumbent."""
        floor = np.zeros(len(self.index)) if self.floor is None else self.floor
        good = self.index >= floor[:, None]
        good[:, self.incumbent] |= relative
        cheapest = np.where(good, self.cost, np.inf).argmin(axis=1)
        return self._served(np.where(good.any(axis=1), cheapest, self.incumbent))

    def spend(self, price: float) -> float:
        """Return the expected dollars a call over the traffic."""
        return self.over_traffic(self.scored(price), self.cost)

    def over_traffic(self, shares: FloatArray, values: FloatArray) -> float:
        """Return the mean of `values` over arms by `shares` and over the traffic."""
        return float(self.traffic @ (shares * values).sum(axis=1))

    @property
    def everywhere(self) -> tuple[IntArray, BoolArray]:
        """(the incumbent, all arms eligible) in every row."""
        return np.full(len(self.index), self.incumbent), np.ones(self.index.shape, dtype=np.bool_)

    def _served(self, arms: IntArray) -> FloatArray:
        incumbent, eligible = self.everywhere
        shares = np.eye(self.index.shape[1])[arms]
        if self.exploration and self.holdout < 1.0:
            shares = explore(shares, eligible, self.exploration)
        return hold_out(shares, incumbent, eligible, self.holdout)


def best_score(quality: FloatArray, cost: FloatArray, price: float) -> IntArray:
    """Return each row's arm of the best quality − λ·cost, the cheapest among equals."""
    score = quality - price * cost
    return np.asarray(np.where(score == score.max(axis=1, keepdims=True), cost, np.inf).argmin(axis=1))


def held_out(ratings: RatingSums, objective: Objective, incumbent: int, holdout: float) -> float:
    """Return the share that the incumbent keeps: all of it until a floor can be held, as in production."""
    if objective.kind not in ("floor", "average"):
        return 0.0
    if not objective.relative:
        return 0.0 if ratings.n.any() else 1.0
    return 1.0 if ratings.n[:, incumbent].sum() < WARM_UP_RATINGS else holdout


def chosen(
    rows: Indexed, objective: Objective, *, pace: Pace, missing: float, n_rated: float, guess: float
) -> tuple[FloatArray, float]:
    """Return (shares of every row, λ).

    Parameters
    ----------
    rows : Indexed
    objective : Objective
    pace : Pace
        Of a budget.
    missing, n_rated : float
        Quality by which rated calls fell short of an average so far, summed, and how many they are.
    guess : float
        Where to look for λ first.
    """
    if objective.kind == "floor":
        return rows.cheapest_good_enough(relative=objective.relative), 0.0
    if objective.kind == "value" and objective.amount is not None:
        return rows.scored(1.0 / objective.amount), 0.0
    highest = highest_price(rows.cost, np.ones(rows.cost.shape, dtype=np.bool_))
    if objective.kind == "average" and rows.floor is not None:
        incumbent = float(rows.traffic @ rows.mean[:, rows.incumbent])
        target = Pace(-missing, n_rated).average_target(float(rows.traffic @ rows.floor), incumbent)
        return _cheapest_mixture(rows, target), 0.0
    if objective.kind == "budget" and objective.amount is not None:
        return _within(rows, pace.budget_target(objective.amount), highest, guess)
    return rows.scored(0.0), 0.0


def _within(rows: Indexed, target_usd: float, highest: float, guess: float) -> tuple[FloatArray, float]:
    """Return shares that spend the target, exploring as far as that leaves room, as production does."""
    price = cheapest_within(rows.spend, target_usd, highest, guess)
    while rows.exploration > _LEAST_EXPLORATION and rows.spend(price) > target_usd:
        rows = replace(rows, exploration=rows.exploration / 2.0)
        price = cheapest_within(rows.spend, target_usd, highest, guess)
    return _mixed(rows, target_usd, (price / _STEP, price)), price


def _cheapest_mixture(rows: Indexed, floor: float) -> FloatArray:
    """Return shares whose mean quality reaches the floor at least spend, the incumbent making up for what is missing.

    λ is looked for in powers of 2, as in production, where the best cannot be found by halving either; at each the
    incumbent keeps as many calls as it takes. Where nothing reaches the floor, the best quality is taken.
    """
    alone = hold_out(np.zeros_like(rows.cost), *rows.everywhere, 1.0)
    best, dear = rows.over_traffic(alone, rows.mean), rows.over_traffic(alone, rows.cost)
    first = math.floor(math.log2(1.0 / (float(rows.cost.max()) or 1.0))) - _OCTAVES_BELOW
    found: list[tuple[float, float, int, FloatArray]] = []
    for price in (0.0, *(2.0 ** (first + i / 2) for i in range(_N_PRICES))):
        shares = rows.scored(price)
        quality, spend = rows.over_traffic(shares, rows.mean), rows.over_traffic(shares, rows.cost)
        kept = 0.0
        if quality < floor and quality < best:
            kept = min((floor - quality) / (best - quality), 1.0)
        missed = max(floor - quality - kept * (best - quality), 0.0)
        found.append((missed, spend + kept * (dear - spend), len(found), (1.0 - kept) * shares + kept * alone))
    return min(found, key=lambda mixture: mixture[:3])[3]


def _mixed(rows: Indexed, target_usd: float, prices: tuple[float, float]) -> FloatArray:
    """Return the mixture of choices at two neighbouring λ that spends the target, where it lies between them.

    An index does not spread as beliefs do: the calls of a row would all turn over at one λ, and a budget between two
    models would buy the cheaper one alone.
    """
    more, less = rows.spend(prices[0]), rows.spend(prices[1])
    part = float(np.clip((target_usd - less) / (more - less), 0.0, 1.0)) if more > less else 0.0
    return part * rows.scored(prices[0]) + (1.0 - part) * rows.scored(prices[1])


def floors(objective: Objective, incumbent_mean: FloatArray) -> FloatArray | None:
    """Return the quality asked for in every context, or None; `incumbent_mean` is what a relative one refers to."""
    if objective.kind not in ("floor", "average") or objective.amount is None:
        return None
    return objective.amount * (incumbent_mean if objective.relative else np.ones_like(incumbent_mean))


def missing_quality(ratings: RatingSums, floor: FloatArray | None) -> float:
    """Return by how much rated calls fell short of the floor of their context, summed; 0 without a floor."""
    return 0.0 if floor is None else shortfall(ratings, floor)
