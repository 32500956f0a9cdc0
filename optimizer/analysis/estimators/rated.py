"""The chance that a call is rated, from what is known about it: ridge logistic regression, by Newton's steps."""

import numpy as np
from scipy.special import expit, logit

from optimizer.decision.belief import BoolArray, FloatArray

_RIDGE = 1.0
_STEPS, _LONGEST = 8, 2.0  # Newton's steps, and how far one may move a log odds' coefficient
_EDGE, _CLOSE = 1e-3, 1e-3


def fit_chance(columns: FloatArray, rated: BoolArray, start: FloatArray | None = None) -> FloatArray:
    """Return the coefficients, intercept first.

    Parameters
    ----------
    columns : ndarray, shape (n_calls, n_columns)
        Without the intercept, which alone is not shrunk.
    start : ndarray, optional
        Coefficients of an earlier fit, to begin with.
    """
    design = np.column_stack([np.ones(len(columns)), columns])
    penalty = np.full(design.shape[1], _RIDGE)
    penalty[0] = _EDGE
    found = np.zeros(design.shape[1]) if start is None else start
    if start is None:
        found[0] = logit(np.clip(rated.mean(), _EDGE, 1.0 - _EDGE))
    for _ in range(_STEPS):
        chance = expit(design @ found)
        curvature = design.T @ ((chance * (1.0 - chance))[:, None] * design) + np.diag(penalty)
        step = np.linalg.solve(curvature, design.T @ (rated - chance) - penalty * found)
        found = found + step / max(1.0, float(np.abs(step).max()) / _LONGEST)
        if np.abs(step).max() < _CLOSE:
            break
    return found
