"""The production decision code as a replayed policy: belief, cost and chain, with λ kept from block to block."""

import numpy as np

from optimizer.decision.belief import FloatArray, IntArray, RatingSums, believe
from optimizer.decision.chain import Chain, decide
from optimizer.decision.price import Pace, shortfall
from optimizer.decision.prior import incumbent_shift
from optimizer.decision.situation import Situation, average_floor
from optimizer.domain import Objective
from optimizer.simulation.knowledge import Knowledge, Outlook
from optimizer.simulation.stream import Stream


class Thompson:
    """Thompson sampling as in production; remembers λ only to find the next one faster."""

    def __init__(self, stream: Stream, chain: Chain, *, coldest: float) -> None:
        self._stream = stream
        self._chain = chain
        self._coldest = coldest
        self._price = 0.0
        n_contexts, n_arms = stream.shape
        self._prior = np.tile(incumbent_shift(chain.objective, stream.incumbent, n_arms), (n_contexts, 1))

    def shares(self, known: Knowledge, prompts: IntArray) -> FloatArray:
        """Return the propensities of each of `prompts`, shape (n_prompts, n_arms)."""
        known.watch()
        at = known.outlook(prompts)
        situation = self._situation(known.ratings, at)
        target = _target(situation, known.given, self._chain.objective, known.pace)
        made = decide(situation, self._chain, target=target, guess=self._price)
        self._price = made.price or 0.0
        return made.shares[at.of_block]

    def learn(self, prompts: IntArray, arms: IntArray, calls: IntArray) -> None:
        """Learn nothing beside what `Knowledge` keeps."""

    def _situation(self, ratings: RatingSums, at: Outlook) -> Situation:
        return Situation(
            belief=believe(ratings, prior=self._prior, coldest=self._coldest),
            context=at.context,
            cost=at.cost,
            eligible=np.ones(at.cost.shape, dtype=np.bool_),
            incumbent=np.full(len(at.rows), self._stream.incumbent),
            traffic=at.traffic,
            cells=self._stream.cells,
            models=self._stream.models,
        )


def _target(situation: Situation, ratings: RatingSums, objective: Objective, pace: Pace) -> float | None:
    """Return what λ is to be solved for now; None where the objective's own number, or none, will do."""
    if objective.amount is None:
        return None
    if objective.kind == "budget":
        return pace.budget_target(objective.amount)
    if objective.kind == "average":
        means = situation.belief.mean[:, situation.incumbent[0]]
        floor = objective.amount * means if objective.relative else np.full(len(means), objective.amount)
        incumbent = float(situation.traffic @ means[situation.context])
        so_far = Pace(-shortfall(ratings, floor), float(ratings.n.sum()))
        return so_far.average_target(average_floor(situation, objective), incumbent)
    return None
