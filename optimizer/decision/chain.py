"""The whole chain, from beliefs and costs to propensities, for all contexts at once; λ is solved through all of it."""

from dataclasses import dataclass, field

import numpy as np

from optimizer.decision.belief import FloatArray
from optimizer.decision.choice import explore, floor_chances, floor_votes
from optimizer.decision.guard import WARM_UP_RATINGS, gate, guard, hold_out
from optimizer.decision.situation import Situation, average_floor, floor_of, servable
from optimizer.decision.solving import Votes, cheapest_mixture, within
from optimizer.domain import Objective

INCUMBENT_MARGIN = 0.97  # within 3% of cost the incumbent sorts first


@dataclass(frozen=True)
class Chain:
    """The settings that the chain reads; None switches the guard off."""

    objective: Objective
    guard: float | None = 0.1
    holdout: float = 0.02
    exploration: float = 0.02


@dataclass(frozen=True)
class Settled:
    """What is solved over all rows together and then holds for any one of them.

    `holdout` is 1 while the incumbent warms up; `floor` is the mean quality that `average` asks for, and `kept` the
    share that the incumbent keeps to hold it. Where a budget has room, draws doubt the effects of models dearer than
    `dear_usd`, too.
    `ceiling` is the quality that `floor` asks for at most; `lowered` says that a limit of spending made it all worse.
    """

    price: float | None
    holdout: float
    exploration: float
    floor: float | None = None
    kept: float = 0.0
    dear_usd: float | None = None
    ceiling: float | None = None
    lowered: bool = False


@dataclass(frozen=True)
class Shares:
    """The propensities and how they came about.

    Attributes
    ----------
    shares : ndarray, shape (n_rows, n_arms)
        Rows sum to 1.
    price : float or None
        λ, where the objective has one, or a limit lowered a floor.
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
    dear_usd: float | None = None
    steps: tuple[tuple[str, FloatArray], ...] = field(default=())

    @property
    def settled(self) -> Settled:
        """What holds for other rows of the same chain, too."""
        floor = None if self.price is None or self.threshold is None else float(self.threshold[0])
        return Settled(self.price, self.holdout, self.exploration, floor, self.kept, self.dear_usd)


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
    situation = servable(situation)
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
    # Forty that have faded by a trifle are forty still.
    return sum(float(situation.belief.n[cell]) for cell in measured) < WARM_UP_RATINGS - 0.5


def _held(situation: Situation, chain: Chain) -> float:
    if warming_up(situation, chain.objective):
        return 1.0
    return usual_holdout(chain)


def usual_holdout(chain: Chain) -> float:
    """Return the share of calls that go on measuring the incumbent once it is known."""
    return chain.holdout if needs_incumbent(chain.objective) else 0.0


def _floor(situation: Situation, chain: Chain, settled: Settled | None) -> Shares:
    belief, eligible, incumbent = situation.belief, situation.eligible, situation.incumbent
    context = situation.context
    rows = np.arange(len(incumbent))
    threshold = floor_of(situation, chain.objective)
    if settled is not None and settled.ceiling is not None:
        threshold = np.minimum(threshold, settled.ceiling)
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
    price = None if settled is None else settled.price
    return Shares(steps[-1][1], price, threshold, exploration=exploration, holdout=holdout, steps=tuple(steps))


def _scored(situation: Situation, chain: Chain, target: float | None, settled: Settled | None, guess: float) -> Shares:
    if settled is None:
        settled = _settle(situation, chain, target, guess)
    anchored = settled.holdout > 0.0 or chain.objective.kind == "average"
    votes = Votes(situation, settled.holdout, settled.exploration, settled.dear_usd, anchored)
    steps = votes.steps(settled.price or 0.0, settled.kept)
    threshold = None if settled.floor is None else np.full(len(situation.incumbent), settled.floor)
    return Shares(
        steps[-1][1],
        settled.price,
        threshold,
        exploration=settled.exploration,
        holdout=settled.holdout,
        kept=settled.kept,
        dear_usd=settled.dear_usd,
        steps=steps,
    )


def _settle(situation: Situation, chain: Chain, target: float | None, guess: float) -> Settled:
    objective, holdout = chain.objective, _held(situation, chain)
    anchored = holdout > 0.0 or objective.kind == "average"
    votes = Votes(situation, holdout, 0.0 if holdout == 1.0 else chain.exploration, None, anchored)
    if objective.kind == "average":
        floor = average_floor(situation, objective)
        price, kept = cheapest_mixture(votes, floor if target is None else target)
        return Settled(price, holdout, votes.exploration, floor, kept)
    if objective.kind == "budget":
        wanted = objective.amount if target is None else target
        price, votes = within(votes, wanted or 0.0, guess)
        return Settled(price, holdout, votes.exploration, dear_usd=votes.dear_usd)
    price = 0.0 if objective.amount is None else 1.0 / objective.amount
    return Settled(price, holdout, votes.exploration)
