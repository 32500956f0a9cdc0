"""Importance weights of a log under a target policy, and how much of the target they leave out."""

import numpy as np

from optimizer.analysis.estimators.estimate import Overlap, WeightHistogram, effective
from optimizer.analysis.estimators.logged import LoggedCalls
from optimizer.decision.belief import BoolArray, FloatArray


def importance_weights(calls: LoggedCalls, target: FloatArray) -> FloatArray:
    """Return π(arm)/p of the draw that settled each call; later turns of a session take over their draw's.

    Parameters
    ----------
    target : ndarray, shape (n_calls, n_arms)
        Probabilities of the target policy at every call. Rows of later turns are not read: the target, too, would
        stay with the model that the session began with.
    """
    at = calls.draw
    return np.asarray(target[at, calls.arm[at]] / calls.propensity[at])


def supported(calls: LoggedCalls, target: FloatArray) -> BoolArray:
    """Return for which calls everything that the target might choose could have been drawn."""
    at = calls.draw
    if calls.distribution is None:
        return np.ones(calls.n_calls, dtype=np.bool_)
    return np.asarray(~((target[at] > 0.0) & (calls.distribution[at] <= 0.0)).any(axis=1))


def off_support(calls: LoggedCalls, target: FloatArray) -> float | None:
    """Return the share of the target's choices that could not have been drawn at the time; None if unknown."""
    if calls.distribution is None:
        return None
    at = calls.draw
    return float(np.where(calls.distribution[at] <= 0.0, target[at], 0.0).sum(axis=1).mean())


def overlap(calls: LoggedCalls, weights: FloatArray, off: float | None, *, shown: FloatArray | None = None) -> Overlap:
    """Return what the weights of rated calls come to; `shown` are those of the histogram, where others."""
    known = np.where(calls.rated, weights, 0.0)
    per_unit = np.bincount(calls.unit_number, known, minlength=calls.n_units).astype(np.float64)
    histogram = WeightHistogram.of(weights if shown is None else shown)
    return Overlap(calls.n_calls, calls.n_units, int(calls.rated.sum()), effective(per_unit), off, histogram)
