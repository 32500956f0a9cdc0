"""From rating sums to Beta beliefs: dispersion, additive pooling, empirical-Bayes strength, temperature."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from optimizer.decision.departures import RATED, Departures, departures

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_LONGEST_STEP = 1.0  # of a log odds in one sweep, so that early sweeps cannot overshoot
_SEGMENT_ROUNDS = 4  # of segments' ease and models' means by turns: a fifth moves no mean by .005
_MEAN_EDGE = 1e-3  # beliefs stay off 0 and 1, where a Beta has no spread and could not be unlearned


@dataclass(frozen=True)
class Pooling:
    """Constants of the fit; all weights count ratings.

    Attributes
    ----------
    centre, centre_weight : float
        Quality of an unknown model in an unknown use case, and how many ratings that guess is worth.
    effect_weight, segment_weight : float
        Ratings at which a model's or use case's (a segment's) effect is believed by half.
    dispersion_weight : float
        Ratings at which a model's dispersion is believed by half; before, ratings count as coins.
    strengths, strength_shares : tuple of float
        κ₀, ratings that the fitted start of a use case's cell is worth: one for each kind of cell, and the shares of
        the kinds before any rating.
    strength_cells : float
        Rated cells at which the shares are believed by half.
    doubt : float
        Share of the spread of a model's effect that draws of a use case's cell use, if it is the only one rated; it is
        divided by the number of those that are, since a trial in any of them serves all.
    strength, strength_low, strength_high : float
        κ₀ of segments while three or fewer are rated, and the range of its estimate after that.
    """

    centre: float = 0.75
    centre_weight: float = 1.0
    effect_weight: float = 10.0
    segment_weight: float = 20.0
    dispersion_weight: float = 6.0
    strengths: tuple[float, ...] = (5.0, 30.0, 200.0)
    strength_shares: tuple[float, ...] = (0.1, 0.4, 0.5)
    strength_cells: float = 20.0
    doubt: float = 0.5
    strength: float = 15.0
    strength_low: float = 5.0
    strength_high: float = 30.0
    n_sweeps: int = 6


@dataclass(frozen=True)
class RatingSums:
    """Faded ratings of every cell.

    Attributes
    ----------
    n, total, square : ndarray, shape (n_contexts, n_arms)
        Count, sum and sum of squares of rewards in [0, 1].
    use_case : ndarray of int, shape (n_contexts,)
        The use case that each context is a segment of, numbered from 0.
    """

    n: FloatArray
    total: FloatArray
    square: FloatArray
    use_case: IntArray

    @classmethod
    def empty(cls, use_case: IntArray, n_arms: int) -> "RatingSums":
        """Return the sums before any rating."""
        shape = (len(use_case), n_arms)
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape), use_case)


@dataclass(frozen=True)
class Belief:
    """Beta beliefs about the quality of every cell.

    Attributes
    ----------
    mean : ndarray, shape (n_contexts, n_arms)
        Posterior mean μ, in (0, 1).
    strength : ndarray, shape (n_contexts, n_arms)
        a + b of the Beta at full spread: κ/φ.
    n : ndarray, shape (n_contexts, n_arms)
        Faded ratings of the cell.
    temperature : ndarray, shape (n_arms,) or (n_contexts, n_arms)
        Share of the spread that draws use.
    centre : float
        Learned quality of an average model in an average use case.
    doubted : ndarray, shape (n_contexts, n_arms), optional
        The strength with what is not known of the model's effect counted too: all its cells may start wrong together.
    """

    mean: FloatArray
    strength: FloatArray
    n: FloatArray
    temperature: FloatArray
    centre: float
    doubted: FloatArray | None = None

    def cell(self, context: int, arms: IntArray) -> "Belief":
        """Return the belief about some arms of one context, the only context then."""
        return Belief(
            self.mean[context : context + 1, arms],
            self.strength[context : context + 1, arms],
            self.n[context : context + 1, arms],
            self.temperature[..., arms] if self.temperature.ndim == 1 else self.temperature[context, arms],
            self.centre,
            None if self.doubted is None else self.doubted[context : context + 1, arms],
        )

    def wide(self) -> "Belief":
        """Return the belief that doubts models' effects, too, and draws at full spread."""
        if self.doubted is None:
            return self
        return replace(self, strength=self.doubted, temperature=np.ones_like(self.temperature))

    def tempered(self) -> FloatArray:
        """Return the strength of the Beta with the same mean and `temperature` times the spread.

        The variance of a Beta is μ(1−μ)/(strength + 1), so T times the spread is (strength + 1)/T² − 1.
        """
        return (self.strength + 1.0) / self.temperature**2 - 1.0


def believe(
    ratings: RatingSums,
    *,
    prior: FloatArray | None = None,
    pooling: Pooling | None = None,
    coldest: float | FloatArray = 0.4,
) -> Belief:
    """Return the belief about every cell, given its ratings and everybody else's.

    Parameters
    ----------
    ratings : RatingSums
        Faded sums. Not modified.
    prior : ndarray, shape (n_contexts, n_arms), optional
        Shift of a cell's starting point around the learned centre (`decision.prior`).
    pooling : Pooling, optional
        Constants of the fit.
    coldest : float or ndarray, shape (n_contexts, 1)
        Temperature once a model has 25 ratings.

    Notes
    -----
    A use case's cells start from an additive fit, centre + model + use case, each effect shrunk like the posterior
    mean of a normal effect; segments start from their use case's belief plus a shared shift, and the use case's sums
    are evened by it, so that models that get easy segments gain nothing by it either. How many ratings that start is
    worth, the distance of cells from it tells: each use case's cells are of a few kinds (`departures`), and segments
    have one strength (Efron & Morris 1975, JASA 70:311, with one variance a fit). That the model's effect is itself
    uncertain widens the belief in part: with all of it every use case would explore for all of them.
    """
    pooling = pooling or Pooling()
    shift = np.zeros_like(ratings.n) if prior is None else prior
    use_cases = _by_use_case(ratings, shift)
    dispersion = _dispersion(ratings, pooling)
    centre, start = _additive_fit(use_cases, dispersion, pooling)
    found = _departures(use_cases, start, dispersion, pooling)
    # A use case in one piece has been shrunk already; to shrink it again would count its ratings twice.
    undivided = (np.bincount(ratings.use_case)[ratings.use_case] == 1)[:, None]
    if not undivided.all():
        for _ in range(_SEGMENT_ROUNDS):
            ease = _ease(ratings, found.mean, dispersion, pooling)
            use_cases = _by_use_case(_evened(ratings, found.mean, ease), shift)
            centre, start = _additive_fit(use_cases, dispersion, pooling)
            found = _departures(use_cases, start, dispersion, pooling)
        whole = _of_contexts(found, ratings.use_case)
        start = expit(logit(whole.mean) + _ease(ratings, found.mean, dispersion, pooling))
        parts = _segments(ratings, start, dispersion, pooling)
        found = Departures(
            np.where(undivided, whole.mean, parts.mean),
            np.where(undivided, whole.strength, parts.strength),
            np.where(undivided, whole.of_start, parts.of_start),
        )
    else:
        found = _of_contexts(found, ratings.use_case)
    temperature = np.clip(2.0 / np.sqrt(np.maximum(ratings.n.sum(axis=0), 4.0)), coldest, 1.0)
    rated = max(int((use_cases.n.sum(axis=1) > RATED).sum()), 1)
    shared = _doubted(use_cases, found, dispersion, pooling, pooling.doubt / rated)
    doubted = _doubted(use_cases, found, dispersion, pooling, 1.0)
    return Belief(found.mean, np.where(undivided, shared, found.strength), ratings.n, temperature, centre, doubted)


def _doubted(
    use_cases: "_UseCaseSums", found: Departures, dispersion: FloatArray, pooling: Pooling, part: float
) -> FloatArray:
    """Return the strength by the law of total variance: a cell's own spread, and `part` of that of its model's effect.

    The effect's log odds have about the inverse of its information as variance; the start's share reaches the cell.
    """
    slope = pooling.centre * (1.0 - pooling.centre)
    information = (use_cases.n.sum(axis=0) / dispersion + pooling.effect_weight) * slope
    coin = found.mean * (1.0 - found.mean)
    variance = coin / found.strength + (part * found.of_start * coin) ** 2 / information
    return np.asarray(coin / variance)


def _departures(sums: "_UseCaseSums", start: FloatArray, dispersion: FloatArray, pooling: Pooling) -> Departures:
    """Return what is believed of every use case's cells, given where they start."""
    found = departures(
        sums.n,
        sums.total,
        _inside(start),
        dispersion,
        pooling.strengths,
        pooling.strength_shares,
        pooling.strength_cells,
    )
    return replace(found, mean=_inside(found.mean))


def _segments(ratings: RatingSums, start: FloatArray, dispersion: FloatArray, pooling: Pooling) -> Departures:
    """Return what is believed of every segment's cells, given where they start; one strength serves all."""
    start = _inside(start)
    strength = _start_strength(ratings, start, dispersion, pooling)
    kappa = strength + ratings.n
    return Departures(_inside((strength * start + ratings.total) / kappa), kappa / dispersion, strength / kappa)


def _of_contexts(found: Departures, use_case: IntArray) -> Departures:
    return Departures(found.mean[use_case], found.strength[use_case], found.of_start[use_case])


@dataclass(frozen=True)
class _UseCaseSums:
    n: FloatArray
    total: FloatArray
    square: FloatArray
    shift: FloatArray


def _inside(mean: FloatArray) -> FloatArray:
    return np.clip(mean, _MEAN_EDGE, 1.0 - _MEAN_EDGE)


def _by_use_case(ratings: RatingSums, shift: FloatArray) -> _UseCaseSums:
    n_use_cases = int(ratings.use_case.max()) + 1
    sums = np.zeros((4, n_use_cases, ratings.n.shape[1]))
    for position, values in enumerate((ratings.n, ratings.total, ratings.square, shift)):
        np.add.at(sums[position], ratings.use_case, values)
    contexts = np.bincount(ratings.use_case, minlength=n_use_cases)
    return _UseCaseSums(sums[0], sums[1], sums[2], sums[3] / contexts[:, None])


def _dispersion(ratings: RatingSums, pooling: Pooling) -> FloatArray:
    """Return φ of every arm, in (0, 1]: how much less its ratings scatter than coins of the same mean.

    From the scatter inside cells of two ratings or more, each side unbiased; ratings of 0 and 1 give exactly 1.
    """
    n = np.where(ratings.n > 1.5, ratings.n, np.nan)
    scatter = np.maximum(ratings.square - ratings.total**2 / n, 0.0)
    coin = np.maximum(ratings.total - ratings.total**2 / n, 0.0) + scatter / (n - 1.0)
    seen = np.nansum(scatter * n / (n - 1.0), axis=0)
    expected = np.nansum(coin, axis=0)
    typical = pooling.centre * (1.0 - pooling.centre) * pooling.dispersion_weight
    return np.asarray(np.clip((seen + typical) / (expected + typical), 1e-3, 1.0))


def _additive_fit(sums: _UseCaseSums, dispersion: FloatArray, pooling: Pooling) -> tuple[float, FloatArray]:
    """Return the learned centre and every cell's start, whose log odds are centre + model + use case + prior shift.

    Log odds, since models differ less, in plain quality, where the work is easy (Rasch 1960). Each sweep takes one
    Newton step of the penalised likelihood in each effect, and an exact one along what they share; a weight of w
    ratings is w μ(1−μ) at the centre.
    """
    slope = pooling.centre * (1.0 - pooling.centre)
    start = math.log(pooling.centre / (1.0 - pooling.centre))
    n, total, shift = sums.n / dispersion, sums.total / dispersion, sums.shift / slope
    centre, arms, use_cases = np.asarray(start), np.zeros((1, n.shape[1])), np.zeros((n.shape[0], 1))
    effect, central = pooling.effect_weight * slope, pooling.centre_weight * slope
    for _ in range(pooling.n_sweeps):
        gap, information = _surprise(n, total, centre + arms + use_cases + shift)
        centre = centre + _step((gap.sum() - central * (centre - start)) / (information.sum() + central))
        gap, information = _surprise(n, total, centre + arms + use_cases + shift)
        arms = arms + _step((gap.sum(0, keepdims=True) - effect * arms) / (information.sum(0, keepdims=True) + effect))
        gap, information = _surprise(n, total, centre + arms + use_cases + shift)
        use_cases = use_cases + _step(
            (gap.sum(1, keepdims=True) - effect * use_cases) / (information.sum(1, keepdims=True) + effect)
        )
        # What all effects share moves into the centre as far as the weights ask. The fit of rated cells stays, so
        # sweeps would take hundreds to find it; a newcomer, who starts at the centre, was off by up to .22.
        common = (effect * arms.sum() - central * (centre - start)) / (effect * arms.size + central)
        centre, arms = centre + common, arms - common
        common = (effect * use_cases.sum() - central * (centre - start)) / (effect * use_cases.size + central)
        centre, use_cases = centre + common, use_cases - common
    return float(expit(centre)), np.asarray(expit(centre + arms + use_cases + shift))


def _surprise(n: FloatArray, total: FloatArray, log_odds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (rewards beyond the fit, Fisher information of the log odds) of every cell."""
    mean = expit(log_odds)
    return total - n * mean, n * mean * (1.0 - mean)


def _step(newton: FloatArray) -> FloatArray:
    return np.clip(newton, -_LONGEST_STEP, _LONGEST_STEP)


def _ease(ratings: RatingSums, use_case_mean: FloatArray, dispersion: FloatArray, pooling: Pooling) -> FloatArray:
    """Return how much easier than its use case each segment is to all arms alike, in log odds, (n_contexts, 1)."""
    start = logit(use_case_mean)[ratings.use_case]
    n, total = ratings.n / dispersion, ratings.total / dispersion
    weight = pooling.segment_weight * pooling.centre * (1.0 - pooling.centre)
    ease = np.zeros((len(ratings.use_case), 1))
    for _ in range(pooling.n_sweeps):
        gap, information = _surprise(n, total, start + ease)
        ease = ease + _step((gap.sum(1, keepdims=True) - weight * ease) / (information.sum(1, keepdims=True) + weight))
    return ease


def _evened(ratings: RatingSums, use_case_mean: FloatArray, ease: FloatArray) -> RatingSums:
    """Return the ratings as they might have been, had every segment been as easy as its use case's ratings on average.

    Else an arm that is sent to hard segments, as dear ones are, would look worse than it is in every other.
    """
    n = np.bincount(ratings.use_case, ratings.n.sum(axis=1))
    typical = np.bincount(ratings.use_case, ratings.n.sum(axis=1) * ease[:, 0]) / np.maximum(n, 1e-9)
    mean = use_case_mean[ratings.use_case]
    easier = expit(logit(mean) + ease - typical[ratings.use_case, None]) - mean
    return replace(ratings, total=ratings.total - ratings.n * easier)


def _start_strength(sums: RatingSums, start: FloatArray, dispersion: FloatArray, pooling: Pooling) -> float:
    """Return κ₀: how many ratings the fitted start is worth, from how far rated cells really are from it.

    With z = (ȳ − μ₀)²/(φ μ₀(1−μ₀)), a cell of n ratings has E z = 1/κ₀ + 1/n; n-weighted moments give 1/κ₀.
    """
    rated = sums.n > RATED
    if rated.sum() <= 3:
        return pooling.strength
    n = sums.n[rated]
    variance = (dispersion[None, :] * start * (1.0 - start))[rated]
    z = (sums.total[rated] / n - start[rated]) ** 2 / variance
    # The fit has used up some of the scatter; three cells' worth keeps small tables from looking too regular.
    spread = ((n * z).sum() - rated.sum()) / n.sum()
    floor = 1.0 / pooling.strength_high
    weight = 3.0
    pooled = (spread * (rated.sum() - 3.0) + weight / pooling.strength) / (rated.sum() - 3.0 + weight)
    return float(np.clip(1.0 / max(pooled, floor), pooling.strength_low, pooling.strength_high))
