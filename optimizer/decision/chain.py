"""The whole chain, from beliefs and costs to propensities, for all contexts at once; λ is solved through all of it."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from optimizer.decision.belief import Belief, BoolArray, FloatArray, IntArray
from optimizer.decision.choice import explore, floor_chances, floor_votes, scenarios, score_votes
from optimizer.decision.guard import WARM_UP_RATINGS, gate, guard, hold_out
from optimizer.decision.price import cheapest_within, highest_price
from optimizer.domain import Objective

_LEAST_EXPLORATION = 1e-4
_OCTAVES_BELOW, _N_PRICES = 8, 11  # λ from 2⁻⁸ to 2¹² quality for the incumbent's dearest call, every second power of 2
INCUMBENT_MARGIN = 0.97  # within 3% of cost the incumbent sorts first


@dataclass(frozen=True)
class Chain:
    """The settings that the chain reads; None switches the guard off."""

    objective: Objective
    guard: float | None = 0.1
    holdout: float = 0.02
    exploration: float = 0.02


@dataclass(frozen=True)
class Situation:
    """What is known when shares are made.

    Attributes
    ----------
    belief : Belief
        Of every context and arm.
    context : ndarray of int, shape (n_rows,)
        The context of each row: a row is a context and a length of request.
    cost : ndarray, shape (n_rows, n_arms)
        Expected dollars of a call.
    eligible : ndarray of bool, shape (n_rows, n_arms)
    incumbent : ndarray of int, shape (n_rows,)
    traffic : ndarray, shape (n_rows,)
        Share of the traffic that each row has; sums to 1.
    cells, models : tuple of str
        Names of contexts and arms; they seed the scenarios.
    theta : ndarray, shape (n_arms, n_contexts, n_scenarios), optional
        Scenarios made before; they follow from the belief and the names.
    """

    belief: Belief
    context: IntArray
    cost: FloatArray
    eligible: BoolArray
    incumbent: IntArray
    traffic: FloatArray
    cells: tuple[str, ...]
    models: tuple[str, ...]
    theta: FloatArray | None = None


@dataclass(frozen=True)
class Settled:
    """What is solved over all rows together and then holds for any one of them.

    `holdout` is 1 while the incumbent warms up; `floor` is the mean quality that `average` asks for, and `kept` the
    share that the incumbent keeps to hold it; `wide` says that a budget has room, so draws doubt models' effects, too.
    """

    price: float | None
    holdout: float
    exploration: float
    floor: float | None = None
    kept: float = 0.0
    wide: bool = False


@dataclass(frozen=True)
class Shares:
    """The propensities and how they came about.

    Attributes
    ----------
    shares : ndarray, shape (n_rows, n_arms)
        Rows sum to 1.
    price : float or None
        λ, where the objective has one.
    threshold : ndarray, shape (n_rows,), or None
        The quality asked for.
    steps : tuple of (str, ndarray)
        Shares after each step, in order.
    """

    shares: FloatArray
    price: float | None = None
    threshold: FloatArray | None = None
    exploration: float = 0.0
    holdout: float = 0.0
    kept: float = 0.0
    wide: bool = False
    steps: tuple[tuple[str, FloatArray], ...] = field(default=())

    @property
    def settled(self) -> Settled:
        """What holds for other rows of the same chain, too."""
        floor = None if self.price is None or self.threshold is None else float(self.threshold[0])
        return Settled(self.price, self.holdout, self.exploration, floor, self.kept, self.wide)


def needs_incumbent(objective: Objective) -> bool:
    """Return whether the objective is measured against the incumbent, which must then be known first."""
    return objective.kind in ("floor", "average") and objective.relative


def decide(
    situation: Situation,
    chain: Chain,
    *,
    target: float | None = None,
    settled: Settled | None = None,
    guess: float = 0.0,
) -> Shares:
    """Return the propensities of every context.

    Parameters
    ----------
    situation : Situation
    chain : Chain
    target : float, optional
        What λ is solved for: dollars a call (`budget`) or mean quality (`average`); default: the objective's own.
    settled : Settled, optional
        What was solved before, over all rows that share it; then nothing is solved here.
    guess : float
        Where to look for λ first; changes nothing but the time it takes.
    """
    situation = _servable(situation)
    if chain.objective.kind == "floor":
        return _floor(situation, chain, settled)
    return _scored(situation, chain, target, settled, guess)


def _servable(situation: Situation) -> Situation:
    """Return the situation with no traffic on rows that nobody can serve: nothing can be promised for them."""
    servable = situation.eligible.any(axis=1)
    traffic = np.where(servable, situation.traffic, 0.0)
    if servable.all() or not traffic.any():
        return situation
    return replace(situation, traffic=traffic / traffic.sum())


def warming_up(situation: Situation, objective: Objective) -> bool:
    """Return whether the incumbent serves alone: a floor is asked for, and too little is known to hold it.

    Relative to the incumbent that takes 40 of its ratings, over all contexts together; else one rating of anybody.
    """
    if objective.kind not in ("floor", "average"):
        return False
    if not objective.relative:
        return not situation.belief.n.any()
    measured = {(int(c), int(arm)) for c, arm in zip(situation.context, situation.incumbent, strict=True)}
    # Forty that have faded by a trifle are forty still.
    return sum(float(situation.belief.n[cell]) for cell in measured) < WARM_UP_RATINGS - 0.5


def floor_of(situation: Situation, objective: Objective) -> FloatArray:
    """Return the quality asked for in every context: the amount, or its share of the incumbent's mean."""
    amount = objective.amount if objective.amount is not None else 0.0
    if not objective.relative:
        return np.full(len(situation.incumbent), amount)
    return np.asarray(amount * situation.belief.mean[situation.context, situation.incumbent])


def average_floor(situation: Situation, objective: Objective) -> float:
    """Return the mean quality over the traffic that `average` asks for."""
    return float(situation.traffic @ floor_of(situation, objective))


def _held(situation: Situation, chain: Chain) -> float:
    if warming_up(situation, chain.objective):
        return 1.0
    return chain.holdout if needs_incumbent(chain.objective) else 0.0


def _floor(situation: Situation, chain: Chain, settled: Settled | None) -> Shares:
    belief, eligible, incumbent = situation.belief, situation.eligible, situation.incumbent
    context = situation.context
    rows = np.arange(len(incumbent))
    threshold = floor_of(situation, chain.objective)
    cost = situation.cost.copy()
    cost[rows, incumbent] *= INCUMBENT_MARGIN
    mean = belief.mean[context]
    plain = floor_chances(mean, belief.strength[context], threshold[:, None])
    tempered = floor_chances(mean, belief.tempered()[context], threshold[:, None])
    if chain.objective.relative:
        plain[rows, incumbent] = tempered[rows, incumbent] = 1.0
    steps = [("votes", floor_votes(tempered, cost, eligible, incumbent))]
    left_in = gate(plain, belief.n[context], eligible, incumbent)
    gated = steps[-1][1] if np.array_equal(left_in, eligible) else floor_votes(tempered, cost, left_in, incumbent)
    steps.append(("gate", gated))
    if chain.guard is not None:
        steps.append(("guard", guard(steps[-1][1], plain, cost, left_in, incumbent, chain.guard)))
    holdout = _held(situation, chain) if settled is None else settled.holdout
    if holdout:
        steps.append(("holdout", hold_out(steps[-1][1], incumbent, eligible, holdout)))
    exploration = 0.0 if holdout == 1.0 else chain.exploration
    if exploration:
        # A floor over arms dearer than the incumbent, or not proven under the guard, would buy what nobody asked for.
        steps.append(("exploration", explore(steps[-1][1], steps[-1][1] > 0, exploration)))
    return Shares(steps[-1][1], None, threshold, exploration=exploration, holdout=holdout, steps=tuple(steps))


def _scored(situation: Situation, chain: Chain, target: float | None, settled: Settled | None, guess: float) -> Shares:
    if settled is None:
        settled = _settle(situation, chain, target, guess)
    anchored = settled.holdout > 0.0 or chain.objective.kind == "average"
    votes = _Votes(situation, settled.holdout, settled.exploration, settled.wide, anchored)
    steps = votes.steps(settled.price or 0.0, settled.kept)
    threshold = None if settled.floor is None else np.full(len(situation.incumbent), settled.floor)
    return Shares(
        steps[-1][1],
        settled.price,
        threshold,
        exploration=settled.exploration,
        holdout=settled.holdout,
        kept=settled.kept,
        wide=settled.wide,
        steps=steps,
    )


def _settle(situation: Situation, chain: Chain, target: float | None, guess: float) -> Settled:
    objective, holdout = chain.objective, _held(situation, chain)
    anchored = holdout > 0.0 or objective.kind == "average"
    votes = _Votes(situation, holdout, 0.0 if holdout == 1.0 else chain.exploration, False, anchored)
    if objective.kind == "average":
        floor = average_floor(situation, objective)
        price, kept = _cheapest_mixture(votes, floor if target is None else target)
        return Settled(price, holdout, votes.exploration, floor, kept)
    if objective.kind == "budget":
        wanted = objective.amount if target is None else target
        price, votes = _within(votes, wanted or 0.0, guess)
        return Settled(price, holdout, votes.exploration, wide=votes.wide)
    price = 0.0 if objective.amount is None else 1.0 / objective.amount
    return Settled(price, holdout, votes.exploration)


def _within(votes: "_Votes", target_usd: float, guess: float) -> tuple[float, "_Votes"]:
    """Return λ, and the votes with the exploration floor that the spend leaves room for."""
    if votes.spend(votes.highest) > target_usd:
        return votes.highest, replace(votes, exploration=0.0)
    price = cheapest_within(votes.spend, target_usd, votes.highest, guess)
    if price == 0.0:
        # The budget has room left: let it pay for what may be wrong about the dear models.
        votes = replace(votes, wide=True)
        price = cheapest_within(votes.spend, target_usd, votes.highest, guess)
    while votes.exploration > _LEAST_EXPLORATION and votes.spend(price) > target_usd:
        votes = replace(votes, exploration=votes.exploration / 2.0)
        price = cheapest_within(votes.spend, target_usd, votes.highest, guess)
    return price, votes


def _cheapest_mixture(votes: "_Votes", floor: float) -> tuple[float, float]:
    """Return (λ, share that the incumbent keeps) whose mean quality reaches the floor at least spend.

    Votes explore, so early on their mean quality may miss the floor at any λ; the incumbent, who is known, makes up
    for it. Where not even that reaches the floor, the best quality is taken. λ is looked for in powers of 2, then
    between them: quality need not fall as λ rises, so halving an interval could miss the best.
    """
    if votes.holdout == 1.0:
        return 0.0, 0.0
    # Measured by the incumbent's cost, so that a newcomer moves the grid, and with it anybody's share, by nothing.
    first = math.floor(math.log2(1.0 / votes.incumbent_usd)) - _OCTAVES_BELOW
    prices = (0.0, *(2.0 ** (first + 2 * i) for i in range(_N_PRICES)))
    found = {price: votes.mixture(price, floor) for price in prices}
    for step in (2.0, 2.0**0.5, 2.0**0.25):
        best = min(found, key=lambda price: found[price][0])
        found |= {price: votes.mixture(price, floor) for price in (best / step, best * step)}
    best = min(found, key=lambda price: found[price][0])
    return best, found[best][1]


@dataclass(frozen=True)
class _Votes:
    """Shares as a function of λ, on common random numbers, through the whole chain."""

    situation: Situation
    holdout: float
    exploration: float
    wide: bool = False  # whether draws doubt the models' effects, too
    anchored: bool = False  # whether the incumbent is left in, votes or none, because the floor may need it

    @cached_property
    def theta(self) -> FloatArray:
        at = self.situation
        if self.wide:
            return scenarios(at.belief.wide(), at.cells, at.models)
        return scenarios(at.belief, at.cells, at.models) if at.theta is None else at.theta

    @cached_property
    def cost(self) -> FloatArray:
        return np.asarray(np.where(self.situation.eligible, self.situation.cost, 0.0))

    @cached_property
    def mean(self) -> FloatArray:
        return np.asarray(self.situation.belief.mean[self.situation.context])

    @cached_property
    def highest(self) -> float:
        return highest_price(self.situation.cost, self.situation.eligible)

    @cached_property
    def incumbent_usd(self) -> float:
        """Expected dollars of the incumbent's dearest call; $1 where it costs nothing or is not known."""
        at = self.situation
        return float(self.cost[np.arange(len(at.incumbent)), at.incumbent].max(initial=0.0)) or 1.0

    def steps(self, price: float, kept: float = 0.0) -> tuple[tuple[str, FloatArray], ...]:
        votes = self.votes(price)
        return (("votes", votes), *self._after(votes, kept))

    def votes(self, price: float) -> FloatArray:
        at = self.situation
        return score_votes(self.theta, at.context, at.cost, at.eligible, price)

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
        without = (("votes", votes), *self._after(votes, 0.0))[-1][1]
        quality, spend = self._over_traffic(without, self.mean), self._over_traffic(without, self.cost)
        if quality >= floor:
            return (0.0, spend), 0.0
        alone = self._after(votes, 1.0)[-1][1]
        best, dear = self._over_traffic(alone, self.mean), self._over_traffic(alone, self.cost)
        if best <= quality:
            return (floor - quality, spend), 0.0
        kept = min((floor - quality) / (best - quality), 1.0)
        return (max(floor - best, 0.0), spend + kept * (dear - spend)), kept

    def _over_traffic(self, shares: FloatArray, values: FloatArray) -> float:
        return float(self.situation.traffic @ (shares * values).sum(axis=1))
