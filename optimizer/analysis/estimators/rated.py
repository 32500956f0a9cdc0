"""The chance that a call is rated, from what is known about it: ridge logistic regression, by Newton's steps."""

import numpy as np
from scipy import sparse
from scipy.special import expit, logit

from optimizer.decision.belief import BoolArray, FloatArray, IntArray

_RIDGE = 1.0
_STEPS, _LONGEST = 8, 2.0  # Newton's steps, and how far one may move a log odds' coefficient
_EDGE, _CLOSE = 1e-3, 1e-3


def design_of(codes: tuple[tuple[IntArray, int], ...], features: FloatArray) -> sparse.csr_array:
    """Return what is known of calls as sparse columns: the intercept, 0 and 1 for every code, then features.

    Parameters
    ----------
    codes : tuple of (ndarray of int, int)
        Such as contexts or arms, and how many of them there are.
    features : ndarray, shape (n_calls, n_features)
    """
    n, width = features.shape
    offsets = np.cumsum([1, *(size for _, size in codes)])
    places = [np.zeros(n, dtype=np.intp), *(at + values for at, (values, _) in zip(offsets, codes, strict=False))]
    places += [np.full(n, offsets[-1] + number) for number in range(width)]
    values = np.hstack([np.ones((n, 1 + len(codes))), features])
    ends = np.arange(n + 1) * len(places)
    return sparse.csr_array((values.ravel(), np.stack(places, axis=1).ravel(), ends), shape=(n, offsets[-1] + width))


def fit_chance(design: sparse.csr_array, rated: BoolArray, start: FloatArray | None = None) -> FloatArray:
    """Return the coefficients of a design whose first column is the intercept, which alone is not shrunk.

    Parameters
    ----------
    start : ndarray, optional
        Coefficients of an earlier fit, to begin with.
    """
    penalty = np.full(design.shape[1], _RIDGE)
    penalty[0] = _EDGE
    if start is None:
        start = np.zeros(design.shape[1])
        start[0] = logit(np.clip(rated.mean(), _EDGE, 1.0 - _EDGE))
    found, across = start, design.T.tocsr()
    for _ in range(_STEPS):
        chance = expit(design @ found)
        # Sparse products: dense ones would wait for threads of BLAS that other work keeps busy.
        curvature = (across @ design.multiply((chance * (1.0 - chance))[:, None])).toarray() + np.diag(penalty)
        step = np.linalg.solve(curvature, across @ (rated - chance) - penalty * found)
        found = found + step / max(1.0, float(np.abs(step).max()) / _LONGEST)
        if np.abs(step).max() < _CLOSE:
            break
    return np.asarray(found, dtype=np.float64)
