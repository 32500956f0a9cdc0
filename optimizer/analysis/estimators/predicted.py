"""Predictions for every call that rest on earlier calls only: blocks in order of time, each from those before it.

So a prediction is fixed before the draw and the rating that it is held against: errors of the models cost width, and
leave the estimate's errors a martingale, however the log came about.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import expit

from optimizer.analysis.estimators.logged import LoggedCalls
from optimizer.analysis.estimators.outcomes import OutcomeSums
from optimizer.analysis.estimators.rated import design_of, fit_chance
from optimizer.decision.belief import BoolArray, FloatArray

N_BLOCKS = 20
LEAST_CHANCE = 0.02  # of being rated; a smaller one would be an error of its model rather than a fact
_MIN_REWARDS = 10  # from which on anything is predicted
_MOST_FITTED = 50_000  # calls that the chance of a rating is fitted on: the latest


@dataclass(frozen=True)
class Predicted:
    """What was expected of every call before it was made.

    Attributes
    ----------
    reward : ndarray, shape (n_calls, n_arms)
        0 in the first calls, which only teach.
    chance : ndarray, shape (n_calls, n_arms)
        Of the reward becoming known, whoever is drawn.
    usable : ndarray of bool, shape (n_calls,)
        Whether the session began after the first calls.
    """

    reward: FloatArray
    chance: FloatArray
    usable: BoolArray


def predicted(
    calls: LoggedCalls, n_arms: int, *, n_blocks: int = N_BLOCKS, rated_chance: FloatArray | None = None
) -> Predicted:
    """Return what earlier calls say of each call.

    Parameters
    ----------
    rated_chance : ndarray, shape (n_calls,), optional
        The chance that each call's reward becomes known, where that is known itself, such as a judge's sample;
        default: 1 where all rewards are known, else learned from context, arm and features.
    """
    features = standardised(calls)
    n_contexts = int(calls.context.max()) + 1
    sums = OutcomeSums.empty(n_contexts, n_arms, features.shape[1])
    reward = np.zeros((calls.n_calls, n_arms))
    usable = np.zeros(calls.n_calls, dtype=np.bool_)
    edges = block_edges(calls.n_calls, n_blocks)
    for before, start, stop in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        told = before + np.flatnonzero(calls.rated[before:start])
        sums = sums.after(calls.context[told], calls.arm[calls.draw[told]], features[told], calls.reward[told])
        if sums.n.sum() >= _MIN_REWARDS:
            reward[start:stop] = sums.fit().predict(calls.context[start:stop], features[start:stop])
            usable[start:stop] = True
    if rated_chance is None:
        chance = _chances(calls, n_arms, features, edges)
    else:
        chance = np.repeat(rated_chance[:, None], n_arms, axis=1)
    return Predicted(reward, chance, usable & usable[calls.draw])


def standardised(calls: LoggedCalls) -> FloatArray:
    """Return the features at mean 0 and spread 1, shape (n_calls, n_features); constant ones as 0.

    All calls set the scale, later ones too: what requests look like does not hang on draws or ratings.
    """
    if calls.features is None:
        return np.zeros((calls.n_calls, 0))
    centred = calls.features - calls.features.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0.0))


def block_edges(n_calls: int, n_blocks: int) -> list[int]:
    """Return where blocks begin, and the end; at least two blocks."""
    n_blocks = max(2, min(n_blocks, n_calls // 10))
    return [round(n_calls * number / n_blocks) for number in range(n_blocks + 1)]


def _chances(calls: LoggedCalls, n_arms: int, features: FloatArray, edges: list[int]) -> FloatArray:
    chance = np.ones((calls.n_calls, n_arms))
    if calls.rated.all():
        return chance
    arms, contexts = (calls.arm[calls.draw], n_arms), (calls.context, int(calls.context.max()) + 1)
    design, found = design_of((arms, contexts), features), None
    nobody = design_of((contexts,), features)
    for start, stop in pairwise(edges[1:]):
        seen = slice(max(0, start - _MOST_FITTED), start)
        found = fit_chance(design[seen], calls.rated[seen], found)
        elsewhere = nobody[start:stop] @ np.delete(found, np.arange(1, n_arms + 1))
        chance[start:stop] = expit(elsewhere[:, None] + found[1 : n_arms + 1])
    return np.maximum(chance, LEAST_CHANCE)
