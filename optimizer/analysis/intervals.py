"""Confidence intervals of means, ratios, differences and shares, also where values come in clusters such as sessions.

All of them are one formula: a ratio of sums, linearised, whose error is taken over independent clusters. A mean is
the ratio whose denominators are 1, a weighted mean the one whose denominators are the weights.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from optimizer.decision.belief import FloatArray
from optimizer.errors import InvalidRequest

Values = Sequence[float] | npt.NDArray[Any]
Clusters = Sequence[Hashable]


class Interval(NamedTuple):
    """An estimate and its confidence limits, which are None where too little is independent to tell."""

    value: float
    low: float | None
    high: float | None


class Estimate(NamedTuple):
    """An estimate with its standard error and degrees of freedom; no freedom (0) means that the error is unknown."""

    value: float
    error: float
    freedom: float

    def interval(self, level: float = 0.95) -> Interval:
        """Return the Student t interval at a level in (0, 1)."""
        _check_level(level)
        if self.freedom <= 0.0:
            return Interval(self.value, None, None)
        # stdtrit loses itself beyond some 1e10 degrees of freedom, where t is normal to all digits.
        reach = float(stdtrit(min(self.freedom, 1e9), 0.5 + level / 2.0)) * self.error
        return Interval(self.value, self.value - reach, self.value + reach)


def mean_interval(values: Values, weights: Values | None = None, level: float = 0.95) -> Interval:
    """Return the mean of independent values with its Student t interval.

    Parameters
    ----------
    values : array_like, shape (n,)
        At least one.
    weights : array_like, shape (n,), optional
        How much each value counts, >= 0, not all 0. The interval treats them as given (importance weights) and has
        (Σw)²/Σw² − 1 degrees of freedom.
    level : float
        Confidence, in (0, 1).

    Raises
    ------
    InvalidRequest
        If there are no values, shapes differ, or a number is not finite or out of range.
    """
    if weights is None:
        return mean_estimate(values).interval(level)
    y, w = _finite("values", values), _finite("weights", weights)
    if y.shape != w.shape or w.min() < 0.0 or w.sum() <= 0.0:
        raise InvalidRequest("weights", "must be one per value, none negative and not all 0")
    found = ratio_estimate(w * y, w)
    effective = float(w.sum() ** 2 / (w**2).sum())
    return found._replace(freedom=effective - 1.0).interval(level)


def clustered_interval(values: Values, clusters: Clusters, level: float = 0.95) -> Interval:
    """Return the mean of values with an interval that holds when values of one cluster resemble each other.

    Parameters
    ----------
    values : array_like, shape (n,)
        At least one.
    clusters : sequence of hashable, length n
        Which cluster each value is from, such as its session.
    level : float
        Confidence, in (0, 1).
    """
    return mean_estimate(values, clusters).interval(level)


def ratio_interval(
    numerators: Values, denominators: Values, clusters: Clusters | None = None, level: float = 0.95
) -> Interval:
    """Return Σ numerators / Σ denominators with its delta-method interval, over clusters where they are given."""
    return ratio_estimate(numerators, denominators, clusters).interval(level)


def mean_estimate(values: Values, clusters: Clusters | None = None) -> Estimate:
    """Return the mean with its standard error, by independent values or by clusters of them."""
    y = _finite("values", values)
    return ratio_estimate(y, np.ones_like(y), clusters)


def ratio_estimate(numerators: Values, denominators: Values, clusters: Clusters | None = None) -> Estimate:
    """Return Σ numerators / Σ denominators with its standard error by the delta method.

    With residuals r = numerator − ratio·denominator summed per cluster, the variance is
    G/(G−1) · Σ r² / (Σ denominators)² over G clusters, with G − 1 degrees of freedom. For single values and
    denominators of 1 that is s²/n exactly.

    Raises
    ------
    InvalidRequest
        If there are no values, lengths differ, a number is not finite, or the denominators sum to 0.

    References
    ----------
    Cochran (1977), Sampling Techniques, 3rd edition, sections 6.4 and 9A.
    """
    x, d = _finite("numerators", numerators), _finite("denominators", denominators)
    total = float(d.sum())
    if x.shape != d.shape or total == 0.0:
        raise InvalidRequest("denominators", "must be one per numerator, with a sum other than 0")
    ratio = float(x.sum()) / total
    residuals = x - ratio * d
    if clusters is not None:
        residuals = _sums(residuals, clusters)
    n = residuals.size
    if n < 2:
        return Estimate(ratio, math.nan, 0.0)
    error = math.sqrt(n / (n - 1) * float((residuals**2).sum())) / abs(total)
    return Estimate(ratio, error, n - 1.0)


def combined(estimates: Iterable[Estimate], weights: Iterable[float]) -> Estimate:
    """Return Σ weight·estimate of independent estimates, with Welch's degrees of freedom.

    Weights of 1 and −1 give the difference of two means as in Welch's test.

    References
    ----------
    Satterthwaite (1946), Biometrics Bulletin 2(6): ν = (Σ vᵢ)² / Σ vᵢ²/νᵢ with vᵢ = (wᵢ·errorᵢ)².
    """
    parts = list(zip(estimates, weights, strict=True))
    value = sum(weight * part.value for part, weight in parts)
    if any(part.freedom <= 0.0 for part, _ in parts):
        return Estimate(value, math.nan, 0.0)
    variances = [(weight * part.error) ** 2 for part, weight in parts]
    total = sum(variances)
    if total == 0.0:
        return Estimate(value, 0.0, sum(part.freedom for part, _ in parts))
    # As shares of the whole, so that tiny variances (of nano-dollars) do not vanish when squared.
    spread = sum((v / total) ** 2 / part.freedom for v, (part, _) in zip(variances, parts, strict=True))
    return Estimate(value, math.sqrt(total), 1.0 / spread)


def wilson(n_successes: float, n: float, level: float = 0.95) -> Interval:
    """Return the share of successes with Wilson's score interval, which stays inside [0, 1].

    Raises
    ------
    InvalidRequest
        Unless 0 <= n_successes <= n and n > 0.

    References
    ----------
    Wilson (1927), JASA 22(158).
    """
    _check_level(level)
    if not (0.0 <= n_successes <= n and 0.0 < n < math.inf):
        raise InvalidRequest("n_successes", "must lie between 0 and n, and n above 0")
    share, z2 = n_successes / n, float(ndtri(0.5 + level / 2.0)) ** 2
    middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n)
    reach = math.sqrt(z2 * share * (1.0 - share) / n + (z2 / (2.0 * n)) ** 2) / (1.0 + z2 / n)
    return Interval(share, min(max(0.0, middle - reach), share), max(min(1.0, middle + reach), share))


def _sums(values: FloatArray, clusters: Clusters) -> FloatArray:
    """Return the sum of the values of each cluster, in the order in which clusters first appear."""
    if len(clusters) != values.size:
        raise InvalidRequest("clusters", f"must be one per value: {len(clusters)} for {values.size} values")
    numbers: dict[Hashable, int] = {}
    positions = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.intp)
    return np.bincount(positions, weights=values).astype(np.float64)


def _finite(name: str, values: Values) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise InvalidRequest(name, "must be a list of one finite number or more")
    return array


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise InvalidRequest("level", "must lie between 0 and 1, such as 0.95")
