"""How far a model departs from what is expected of it: mostly hardly, now and then altogether; learned from all cells.

A model that cannot keep to a format fails at one kind of work and is as good as ever at the rest. One strength for all
cells would be drawn down by it, and leave every other cell to the noise of its few ratings. So each cell's strength is
one of a few, and its own ratings say which (a finite mixture by EM: Dempster, Laird & Rubin 1977, JRSS B 39:1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

FloatArray = NDArray[np.float64]

# Of EM, from the shares before any rating. It closes in slowly where kinds are hard to tell apart, and there stops
# short of the maximum, on the side of what was presumed.
_N_ROUNDS = 8
RATED = 0.5  # faded ratings; what has fewer is as good as new


@dataclass(frozen=True)
class Departures:
    """What is believed of every cell, given where it starts.

    Attributes
    ----------
    mean : ndarray, shape (n_contexts, n_arms)
        Posterior mean of the quality.
    strength : ndarray, shape (n_contexts, n_arms)
        a + b of the Beta with the posterior's mean and variance.
    of_start : ndarray, shape (n_contexts, n_arms)
        Share of the start in the mean; the rest is the cell's own ratings.
    """

    mean: FloatArray
    strength: FloatArray
    of_start: FloatArray


def departures(
    n: FloatArray,
    total: FloatArray,
    start: FloatArray,
    dispersion: FloatArray,
    strengths: tuple[float, ...],
    shares: tuple[float, ...],
    weight: float,
) -> Departures:
    """Return the posterior of cells whose quality is Beta(κμ₀/φ, κ(1−μ₀)/φ), κ one of `strengths`.

    Parameters
    ----------
    n, total : ndarray, shape (n_contexts, n_arms)
        Faded ratings and their sum; n/φ of them count as coins.
    start : ndarray, shape (n_contexts, n_arms)
        μ₀, in (0, 1).
    dispersion : ndarray, shape (n_arms,)
        φ, in (0, 1].
    strengths : tuple of float
        κ: ratings that the start is worth, one for each kind of cell.
    shares : tuple of float
        Of each kind before any rating; they sum to 1.
    weight : float
        Cells that these shares are worth.
    """
    coins, ones = n / dispersion, total / dispersion
    kappa = np.array(strengths)[:, None, None]
    a_before, b_before = start * kappa / dispersion, (1.0 - start) * kappa / dispersion
    a, b = a_before + ones, b_before + np.maximum(coins - ones, 0.0)
    evidence = betaln(a, b) - betaln(a_before, b_before)
    kinds = _kinds(evidence, n > RATED, np.array(shares), weight)
    means = a / (a + b)
    mean = (kinds * means).sum(axis=0)
    variance = (kinds * (means * (1.0 - means) / (a + b + 1.0) + (means - mean) ** 2)).sum(axis=0)
    return Departures(mean, mean * (1.0 - mean) / variance - 1.0, (kinds * (kappa / (kappa + n))).sum(axis=0))


def _kinds(evidence: FloatArray, rated: NDArray[np.bool_], shares: FloatArray, weight: float) -> FloatArray:
    """Return the probability that each cell is of each kind, shape (n_kinds, n_contexts, n_arms)."""
    learned = shares
    for _ in range(_N_ROUNDS):
        cells = _by_evidence(evidence, learned)[:, rated].sum(axis=1) + weight * shares
        learned = cells / cells.sum()
    return _by_evidence(evidence, learned)


def _by_evidence(evidence: FloatArray, shares: FloatArray) -> FloatArray:
    log_odds = np.log(shares)[:, None, None] + evidence
    likely = np.exp(log_odds - log_odds.max(axis=0))
    return np.asarray(likely / likely.sum(axis=0))
