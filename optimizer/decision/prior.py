"""What is presumed of models before their ratings: from public benchmarks, and from being in use."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PRIOR_SPREAD = 0.07  # of quality: how far known models lie apart, and how far the incumbent lies ahead of unknown ones


def prior_shift(scores: FloatArray) -> FloatArray:
    """Return how far each arm's starting point moves around the centre, from public benchmark scores.

    Parameters
    ----------
    scores : ndarray, shape (n_arms,)
        Of the candidates in one benchmark family, any scale; NaN where there is no figure.

    Returns
    -------
    ndarray, shape (n_arms,)
        Standardised over the candidates with a figure and scaled to a spread of .07; no figure, no shift.
    """
    known = ~np.isnan(scores)
    shift = np.zeros_like(scores)
    if known.sum() >= 2 and (spread := scores[known].std()) > 0:
        shift[known] = PRIOR_SPREAD * (scores[known] - scores[known].mean()) / spread
    return shift


def incumbent_shift(arm: int, n_arms: int) -> FloatArray:
    """Return the shift of the starting points where quality is promised as a share of the incumbent's.

    Somebody chose the incumbent, so an unknown candidate is presumed one spread worse than it. The incumbent warms up
    alone and the centre is learned from it: without this, all candidates would be presumed as good, and the first
    trials of each would break the promise. Where the presumption is wrong it costs savings, until ratings say so.

    Parameters
    ----------
    arm : int
        The incumbent.
    n_arms : int

    Returns
    -------
    ndarray, shape (n_arms,)
        .07 for the incumbent, 0 for the others.
    """
    shift = np.zeros(n_arms)
    shift[arm] = PRIOR_SPREAD
    return shift
