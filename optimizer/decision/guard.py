"""What holds the choice back: gate, guard, warm-up and holdout, each from shares to shares."""

import numpy as np

from optimizer.decision.belief import BoolArray, FloatArray, IntArray

GATE_RATINGS, GATE_CHANCE = 20.0, 0.4
PROVEN_CHANCE = 0.9
WARM_UP_RATINGS = 40.0


def gate(chances: FloatArray, n_ratings: FloatArray, eligible: BoolArray, incumbent: IntArray) -> BoolArray:
    """Return which arms stay in under a floor: not those well rated and unlikely to be good enough.

    `chances` is P(θ ≥ q*) at full spread. The incumbent stays, whatever its ratings: something must serve.
    """
    left_in = eligible & ~((n_ratings >= GATE_RATINGS) & (chances < GATE_CHANCE))
    rows = np.arange(len(incumbent))
    left_in[rows, incumbent] = eligible[rows, incumbent]
    return np.asarray(np.where(left_in.any(axis=1, keepdims=True), left_in, eligible))


def guard(
    votes: FloatArray, chances: FloatArray, cost: FloatArray, left_in: BoolArray, incumbent: IntArray, share: float
) -> FloatArray:
    """Return shares in which a proven arm takes 1 − `share` and cheaper unproven ones the rest, by their votes.

    The proven arm is the cheapest with P(θ ≥ q*) ≥ .9 at full spread, else the incumbent. So a new model is a canary
    by itself. Where no cheaper arm has votes, the proven one takes all; rows with nothing left in stay 0.
    """
    rows = np.arange(len(votes))
    proven_cost = np.where(left_in & (chances >= PROVEN_CHANCE) & np.isfinite(cost), cost, np.inf)
    heir = np.where(left_in[rows, incumbent], incumbent, np.where(left_in, votes, -1.0).argmax(axis=1))
    anchor = np.where(np.isfinite(proven_cost).any(axis=1), proven_cost.argmin(axis=1), heir)
    cheaper = left_in & (cost < cost[rows, anchor][:, None])
    canaries = np.where(cheaper, votes, 0.0)
    total = canaries.sum(axis=1)
    scale = np.divide(share, total, out=np.zeros_like(total), where=total > 0)
    shares = canaries * np.minimum(scale, 1.0)[:, None]
    shares[rows, anchor] += left_in.any(axis=1) - shares.sum(axis=1)
    return np.asarray(shares)


def hold_out(shares: FloatArray, incumbent: IntArray, eligible: BoolArray, holdout: float) -> FloatArray:
    """Return shares in which the incumbent serves `holdout` of all calls beside what it won, where it is eligible.

    With `holdout` = 1 this is the warm-up: the incumbent serves alone.
    """
    rows = np.arange(len(shares))
    kept = np.where(eligible[rows, incumbent], holdout, 0.0)
    held = shares * (1.0 - kept)[:, None]
    held[rows, incumbent] += kept
    return held
