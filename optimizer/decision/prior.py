"""What is presumed of models before their ratings: from public benchmarks, and from being in use."""

import numpy as np

from optimizer.decision.belief import FloatArray
from optimizer.decision.chain import needs_incumbent
from optimizer.domain import Objective

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


def incumbent_shift(objective: Objective, arm: int, n_arms: int) -> FloatArray:
    """Return the shift of each arm's starting point that an objective asks for on account of the incumbent.

    Somebody chose the incumbent, so where a share of its quality is promised an unknown candidate is presumed one
    spread worse than it. The incumbent warms up alone and the centre is learned from it: without this, all candidates
    would be presumed as good, and the first trials of each would break the promise. Where the presumption is wrong it
    costs savings, until ratings say so; under other objectives it would cost quality, and is not made.

    Parameters
    ----------
    objective : Objective
    arm : int
        The incumbent.
    n_arms : int

    Returns
    -------
    ndarray, shape (n_arms,)
        .07 for the incumbent of a relative objective, 0 for the others.
    """
    shift = np.zeros(n_arms)
    if needs_incumbent(objective):
        shift[arm] = PRIOR_SPREAD
    return shift
