"""λ solved on common random numbers, through every step that follows the votes: for a spend, or for a mean quality."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from optimizer.decision.belief import FloatArray
from optimizer.decision.choice import explore, scenarios, score_votes
from optimizer.decision.guard import hold_out
from optimizer.decision.price import cheapest_within, highest_price
from optimizer.decision.situation import Situation

_LEAST_EXPLORATION = 1e-4
_ROUNDING = 1e-9
_OCTAVES_BELOW, _N_PRICES = 8, 11  # λ from 2⁻⁸ to 2¹² quality for the incumbent's dearest call, every second power of 2


@dataclass(frozen=True)
class Votes:
    """Shares as a function of λ, on common random numbers, through the whole chain.

    Attributes
    ----------
    dear_usd : float or None
        Draws doubt the effects of models dearer than this, too; None: of none.
    anchored : bool
        Whether the incumbent is left in, votes or none, because the floor may need it.
    """

    situation: Situation
    holdout: float
    exploration: float
    dear_usd: float | None = None
    anchored: bool = False

    @cached_property
    def theta(self) -> FloatArray:
        """Scenarios, shape (n_arms, n_contexts, n_scenarios)."""
        at = self.situation
        return scenarios(at.belief, at.cells, at.models) if at.theta is None else at.theta

    @cached_property
    def both(self) -> FloatArray:
        """Scenarios, and after them, along the contexts, those that doubt the models' effects, too."""
        at = self.situation
        return np.concatenate([self.theta, scenarios(at.belief.wide(), at.cells, at.models)], axis=1)

    @cached_property
    def cost(self) -> FloatArray:
        """Expected dollars of a call, shape (n_rows, n_arms); 0 where an arm is not eligible."""
        return np.asarray(np.where(self.situation.eligible, self.situation.cost, 0.0))

    @cached_property
    def mean(self) -> FloatArray:
        """Expected quality, shape (n_rows, n_arms)."""
        return np.asarray(self.situation.belief.mean[self.situation.context])

    @cached_property
    def highest(self) -> float:
        """λ at which only cost counts."""
        return highest_price(self.situation.cost, self.situation.eligible)

    @cached_property
    def incumbent_usd(self) -> float:
        """Expected dollars of the incumbent's dearest call; $1 where it costs nothing or is not known."""
        at = self.situation
        return float(self.cost[np.arange(len(at.incumbent)), at.incumbent].max(initial=0.0)) or 1.0

    def steps(self, price: float, kept: float = 0.0) -> tuple[tuple[str, FloatArray], ...]:
        """Return (name, shares) of every step, the incumbent keeping `kept` of what the votes gave to others."""
        votes = self.votes(price)
        return (("votes", votes), *self._after(votes, kept))

    def votes(self, price: float) -> FloatArray:
        """Return the shares of scenarios won."""
        at = self.situation
        if self.dear_usd is None:
            return score_votes(self.theta, at.context, at.cost, at.eligible, price)
        context = at.context[:, None] + self.theta.shape[1] * (self.cost > self.dear_usd)
        return score_votes(self.both, context, at.cost, at.eligible, price)

    def _after(self, votes: FloatArray, kept: float) -> tuple[tuple[str, FloatArray], ...]:
        """Return what the steps after the votes make of them; linear in `kept`."""
        at, shares, made = self.situation, votes, []
        if kept:
            shares = hold_out(shares, at.incumbent, at.eligible, kept)
            made.append(("incumbent", shares))
        if self.holdout:
            shares = hold_out(shares, at.incumbent, at.eligible, self.holdout)
            made.append(("holdout", shares))
        if self.exploration:
            left_in = votes > 0
            if self.anchored:
                left_in = left_in | (hold_out(votes, at.incumbent, at.eligible, 0.5) > 0)
            made.append(("exploration", explore(shares, left_in, self.exploration)))
        return tuple(made)

    def spend(self, price: float) -> float:
        """Return the expected dollars a call over the traffic."""
        return self._over_traffic(self.steps(price)[-1][1], self.cost)

    def mixture(self, price: float, floor: float) -> tuple[tuple[float, float], float]:
        """Return (what it misses of the floor, what it spends), least first, and the share kept by the incumbent."""
        votes = self.votes(price)
        quality, spend = self._mean_of(votes, 0.0)
        if quality >= floor:
            return (0.0, spend), 0.0
        best, dear = self._mean_of(votes, 1.0)
        if best <= quality:
            return (floor - quality, spend), 0.0
        kept = min((floor - quality) / (best - quality), 1.0)
        return (max(floor - best, 0.0), spend + kept * (dear - spend)), kept

    def bought(self, price: float, target_usd: float) -> tuple[tuple[float, float], float]:
        """Return (what is overspent, minus the quality), least first, and the share kept by the incumbent."""
        votes = self.votes(price)
        quality, spend = self._mean_of(votes, 0.0)
        best, dear = self._mean_of(votes, 1.0)
        low, high = _shares_within(spend, dear, target_usd)
        kept = high if best > quality else low
        over = max(spend + kept * (dear - spend) - target_usd, 0.0)
        return (over if over > target_usd * _ROUNDING else 0.0, -(quality + kept * (best - quality))), kept

    def _mean_of(self, votes: FloatArray, kept: float) -> tuple[float, float]:
        """Return quality and dollars a call over the traffic."""
        shares = (("votes", votes), *self._after(votes, kept))[-1][1]
        return self._over_traffic(shares, self.mean), self._over_traffic(shares, self.cost)

    def _over_traffic(self, shares: FloatArray, values: FloatArray) -> float:
        return float(self.situation.traffic @ (shares * values).sum(axis=1))


def within(votes: Votes, target_usd: float, guess: float) -> tuple[float, Votes]:
    """Return λ, and the votes with the exploration floor that the spend leaves room for."""
    if votes.spend(votes.highest) > target_usd:
        return votes.highest, replace(votes, exploration=0.0)
    price = cheapest_within(votes.spend, target_usd, votes.highest, guess)
    if price == 0.0:
        # The budget has room left: let it pay for what may be wrong about the models that it held back till now, at
        # full spread, or an unlucky start keeps a model out while money lies idle. It held back none that cost less;
        # to doubt them, too, spends quality on trials and leaves the room as it was.
        votes = replace(votes, dear_usd=target_usd)
        price = cheapest_within(votes.spend, target_usd, votes.highest, guess)
    while votes.exploration > _LEAST_EXPLORATION and votes.spend(price) > target_usd:
        votes = replace(votes, exploration=votes.exploration / 2.0)
        price = cheapest_within(votes.spend, target_usd, votes.highest, guess)
    return price, votes


def cheapest_mixture(votes: Votes, floor: float) -> tuple[float, float]:
    """Return (λ, share that the incumbent keeps) whose mean quality reaches the floor at least spend.

    Votes explore, so early on their mean quality may miss the floor at any λ; the incumbent, who is known, makes up
    for it. Where not even that reaches the floor, the best quality is taken. λ is looked for in powers of 2, then
    between them: quality need not fall as λ rises, so halving an interval could miss the best.
    """
    if votes.holdout == 1.0:
        return 0.0, 0.0
    return _least(_prices(votes), lambda price: votes.mixture(price, floor))


def richest_mixture(votes: Votes, target_usd: float) -> tuple[float, float]:
    """Return (λ, share that the incumbent keeps) whose mean quality is best among those that the target pays for.

    The other way round from `cheapest_mixture`, over the same mixtures: so a target that falls from what the floor
    costs takes quality away little by little.
    """
    return _least((*_prices(votes), votes.highest), lambda price: votes.bought(price, target_usd))


def _prices(votes: Votes) -> tuple[float, ...]:
    # Measured by the incumbent's cost, so that a newcomer moves the grid, and with it anybody's share, by nothing.
    first = math.floor(math.log2(1.0 / votes.incumbent_usd)) - _OCTAVES_BELOW
    return (0.0, *(2.0 ** (first + 2 * i) for i in range(_N_PRICES)))


def _least(
    prices: tuple[float, ...], judged: Callable[[float], tuple[tuple[float, float], float]]
) -> tuple[float, float]:
    """Return the λ judged least, and the share that goes with it."""
    found = {price: judged(price) for price in prices}
    for step in (2.0, 2.0**0.5, 2.0**0.25):
        best = min(found, key=lambda price: found[price][0])
        found |= {price: judged(price) for price in (best / step, best * step)}
    best = min(found, key=lambda price: found[price][0])
    return best, found[best][1]


def _shares_within(spend: float, dear: float, target_usd: float) -> tuple[float, float]:
    """Return the least and the greatest share that the incumbent, at `dear` a call, may keep within the target."""
    if dear == spend:
        return 0.0, 1.0
    edge = min(max((target_usd - spend) / (dear - spend), 0.0), 1.0)
    return (0.0, edge) if dear > spend else (edge, 1.0)
