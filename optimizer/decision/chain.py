"""The whole chain, from beliefs and costs to propensities, for all contexts at once; λ is solved through all of it."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from optimizer.decision.belief import Belief, BoolArray, FloatArray, IntArray
from optimizer.decision.choice import explore, floor_chances, floor_votes, scenarios, score_votes
from optimizer.decision.guard import WARM_UP_RATINGS, gate, guard, hold_out
from optimizer.decision.price import cheapest_within, dearest_above, highest_price
from optimizer.domain import Objective

_LEAST_EXPLORATION = 1e-4
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

    `holdout` is 1 while the incumbent warms up; `floor` is the mean quality that `average` asks for.
    """

    price: float | None
    holdout: float
    exploration: float
    floor: float | None = None


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
    steps: tuple[tuple[str, FloatArray], ...] = field(default=())

    @property
    def settled(self) -> Settled:
        """What holds for other rows of the same chain, too."""
        floor = None if self.price is None or self.threshold is None else float(self.threshold[0])
        return Settled(self.price, self.holdout, self.exploration, floor)


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
    if chain.objective.kind == "floor":
        return _floor(situation, chain, settled)
    return _scored(situation, chain, target, settled, guess)


def warming_up(situation: Situation, objective: Objective) -> bool:
    """Return whether the incumbent serves alone: a floor is asked for, and too little is known to hold it.

    Relative to the incumbent that takes 40 of its ratings, over all contexts together; else one rating of anybody.
    """
    if objective.kind not in ("floor", "average"):
        return False
    if not objective.relative:
        return not situation.belief.n.any()
    measured = {(int(c), int(arm)) for c, arm in zip(situation.context, situation.incumbent, strict=True)}
    return sum(float(situation.belief.n[cell]) for cell in measured) < WARM_UP_RATINGS


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
    steps.append(("gate", floor_votes(tempered, cost, left_in, incumbent)))
    if chain.guard is not None:
        steps.append(("guard", guard(steps[-1][1], plain, cost, left_in, incumbent, chain.guard)))
    holdout = _held(situation, chain) if settled is None else settled.holdout
    if holdout:
        steps.append(("holdout", hold_out(steps[-1][1], incumbent, eligible, holdout)))
    exploration = 0.0 if holdout == 1.0 else chain.exploration
    if exploration:
        # A floor over arms dearer than the incumbent, or not proven under the guard, would buy what nobody asked for.
        steps.append(("exploration", explore(steps[-1][1], steps[-1][1] > 0, exploration)))
    return Shares(steps[-1][1], None, threshold, exploration, holdout, tuple(steps))


def _scored(situation: Situation, chain: Chain, target: float | None, settled: Settled | None, guess: float) -> Shares:
    if settled is None:
        settled = _settle(situation, chain, target, guess)
    votes = _Votes(situation, settled.holdout, settled.exploration)
    steps = votes.steps(settled.price or 0.0)
    threshold = None if settled.floor is None else np.full(len(situation.incumbent), settled.floor)
    return Shares(steps[-1][1], settled.price, threshold, settled.exploration, settled.holdout, steps)


def _settle(situation: Situation, chain: Chain, target: float | None, guess: float) -> Settled:
    objective, holdout = chain.objective, _held(situation, chain)
    votes = _Votes(situation, holdout, 0.0 if holdout == 1.0 else chain.exploration)
    floor = average_floor(situation, objective) if objective.kind == "average" else None
    if target is None:
        target = objective.amount if floor is None else floor
    price, votes = _solved(votes, objective, target, guess)
    return Settled(price, holdout, votes.exploration, floor)


def _solved(votes: "_Votes", objective: Objective, target: float | None, guess: float) -> tuple[float, "_Votes"]:
    """Return λ, and the votes with the exploration floor that the spend leaves room for."""
    if objective.kind == "value" and objective.amount is not None:
        return 1.0 / objective.amount, votes
    if objective.kind == "average" and target is not None:
        return dearest_above(votes.quality, target, votes.highest, guess), votes
    if objective.kind == "budget" and target is not None:
        price = cheapest_within(votes.spend, target, votes.highest, guess)
        while votes.exploration > _LEAST_EXPLORATION and votes.spend(price) > target:
            votes = replace(votes, exploration=votes.exploration / 2.0)
            price = cheapest_within(votes.spend, target, votes.highest, guess)
        return price, votes
    return 0.0, votes


@dataclass(frozen=True)
class _Votes:
    """Shares as a function of λ, on common random numbers, through the whole chain."""

    situation: Situation
    holdout: float
    exploration: float

    @cached_property
    def theta(self) -> FloatArray:
        at = self.situation
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

    def steps(self, price: float) -> tuple[tuple[str, FloatArray], ...]:
        at = self.situation
        made = [("votes", score_votes(self.theta, at.context, at.cost, at.eligible, price))]
        if self.holdout:
            made.append(("holdout", hold_out(made[-1][1], at.incumbent, at.eligible, self.holdout)))
        if self.exploration:
            made.append(("exploration", explore(made[-1][1], made[-1][1] > 0, self.exploration)))
        return tuple(made)

    def spend(self, price: float) -> float:
        """Return the expected dollars a call over the traffic."""
        return float(self.situation.traffic @ (self.steps(price)[-1][1] * self.cost).sum(axis=1))

    def quality(self, price: float) -> float:
        """Return the expected mean quality over the traffic."""
        return float(self.situation.traffic @ (self.steps(price)[-1][1] * self.mean).sum(axis=1))
