"""What was solved for an objective, held to a target of dollars a call where it would cost more."""

from dataclasses import replace

import numpy as np

from optimizer.decision.chain import Chain, Settled, decide, usual_holdout
from optimizer.decision.situation import Situation, floor_of, servable
from optimizer.decision.solving import Votes, richest_mixture, within
from optimizer.domain import Objective

_SLACK = 1.0 + 1e-9
_STEP = 0.001  # of quality, in which a floor sinks


def expected_usd(situation: Situation, chain: Chain, settled: Settled) -> float:
    """Return the expected dollars a call over the traffic, by what was settled."""
    situation = servable(situation)
    cost = np.where(situation.eligible, situation.cost, 0.0)
    shares = decide(situation, chain, settled=settled).shares
    return float(situation.traffic @ (shares * cost).sum(axis=1))


def held_to(
    situation: Situation, chain: Chain, settled: Settled, target_usd: float, quality_min: float | None
) -> Settled:
    """Return what was settled where its expected spend meets the target, else what it has to become.

    Scores take the best quality that the target buys: λ rises, an average's floor gives way, and so does the warm-up
    of an incumbent that is too dear. A floor sinks, though not below `quality_min`, nor at all without one. Where
    nothing meets the target, the cheapest that may be chosen is.

    Parameters
    ----------
    situation : Situation
        The traffic that the target is for.
    settled : Settled
        What the objective asks for by itself.
    target_usd : float
        Expected dollars a call.
    """
    situation = servable(situation)
    if expected_usd(situation, chain, settled) <= target_usd * _SLACK:
        return settled
    if chain.objective.kind == "floor":
        return _sunk(situation, chain, settled, target_usd, quality_min)
    return _cheaper(situation, chain, settled, target_usd)


def _cheaper(situation: Situation, chain: Chain, settled: Settled, target_usd: float) -> Settled:
    warming = settled.holdout == 1.0
    holdout = usual_holdout(chain) if warming else settled.holdout
    anchored = holdout > 0.0 or chain.objective.kind == "average"
    votes = Votes(situation, holdout, chain.exploration if warming else settled.exploration, anchored=anchored)
    held = replace(settled, holdout=holdout, exploration=votes.exploration, kept=0.0, dear_usd=None, lowered=True)
    if votes.spend(votes.highest) > target_usd:
        bare = replace(votes, exploration=0.0)
        return replace(held, price=votes.highest, exploration=0.0, holdout=_holdout_within(bare, target_usd))
    if chain.objective.kind == "average":
        price, kept = richest_mixture(votes, target_usd)
        return replace(held, price=price, kept=kept)
    price, found = within(votes, target_usd, settled.price or 0.0)
    return replace(held, price=price, exploration=found.exploration, dear_usd=found.dear_usd)


def _holdout_within(votes: Votes, target_usd: float) -> float:
    """Return the most of a holdout that the target leaves room for, where only cost counts; spend is linear in it."""
    held, without = votes.spend(votes.highest), replace(votes, holdout=0.0).spend(votes.highest)
    if held <= max(target_usd, without):
        return votes.holdout
    return votes.holdout * max(target_usd - without, 0.0) / (held - without)


def _sunk(
    situation: Situation, chain: Chain, settled: Settled, target_usd: float, quality_min: float | None
) -> Settled:
    top = float(floor_of(situation, chain.objective).max(initial=0.0))
    if quality_min is None or settled.holdout == 1.0 or top <= quality_min:
        return settled
    low, high = 0, int(np.ceil((top - quality_min) / _STEP))  # in steps above the least quality; the lowest is a must
    while high - low > 1:
        middle = (low + high) // 2
        sunk = replace(settled, ceiling=quality_min + middle * _STEP)
        low, high = (middle, high) if expected_usd(situation, chain, sunk) <= target_usd else (low, middle)
    budget = replace(chain, objective=Objective("budget", target_usd))
    shadow = decide(situation, budget, target=target_usd).price
    return replace(settled, ceiling=quality_min + low * _STEP, price=shadow, lowered=True)
