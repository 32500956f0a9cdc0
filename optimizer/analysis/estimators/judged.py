"""What people would say on average, where a judging model rated many replies and people some of them.

The judge's mean is corrected by how far people and judge differ where both rated: prediction-powered inference (PPI),
with the weight of the judge tuned to the data (PPI++), so that a useless judge does no harm.
"""

import math
from dataclasses import dataclass

import numpy as np

from optimizer.analysis.estimators.options import Options
from optimizer.analysis.intervals import Estimate as MeanEstimate
from optimizer.decision.belief import BoolArray, FloatArray, IntArray
from optimizer.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class JudgedMean:
    """People's mean rating with its limits.

    Attributes
    ----------
    low, high : float or None
        None where fewer than two sessions were rated by people.
    error : float
        Standard error.
    tuning : float
        λ, how much the judge counts: from 0, people's ratings alone, to 1, all of it.
    n_people, n_judged : int
        Calls that people rated, and calls with the judge's rating alone.
    """

    value: float
    low: float | None
    high: float | None
    error: float
    tuning: float
    n_people: int
    n_judged: int


def judged_mean(
    people: FloatArray,
    judge: FloatArray,
    unit: IntArray,
    options: Options | None = None,
    *,
    tuning: float | None = None,
) -> JudgedMean:
    """Return people's mean rating over the judged calls.

    Parameters
    ----------
    people, judge : ndarray, shape (n_calls,)
        Ratings on one scale; NaN where there is none. Calls without the judge's rating are left out.
    unit : ndarray of int, shape (n_calls,)
        Sessions, whose calls resemble each other.
    options : Options, optional
        `rated_chance` is the chance that people rate each call; without it all calls have the same.
    tuning : float, optional
        λ in [0, 1]; default: the one of least variance.

    Raises
    ------
    InvalidRequest
        If people rated no judged call.

    References
    ----------
    Angelopoulos, Bates, Fannjiang, Jordan & Zrnic (2023), Science 382; Angelopoulos, Duchi & Zrnic (2023), PPI++.
    """
    options = options or Options()
    judged = ~np.isnan(judge)
    chance = options.chance_of(len(judge))
    weight = np.ones(int(judged.sum())) if chance is None else 1.0 / chance[judged]
    rated = ~np.isnan(people[judged])
    if not rated.any():
        raise InvalidRequest("people", "must have rated one of the judged calls at least")
    human, machine = np.nan_to_num(people[judged]), judge[judged]
    pull = np.where(rated, weight, 0.0) / weight[rated].sum()
    alone, moved = _influences(human, machine, pull)
    # λ counts against the calls that the judge alone rated; the formula has the judge's mean over all.
    n_alone = int((~rated).sum())
    widen = rated.size / n_alone if n_alone else 0.0
    if tuning is None:
        tuning = _best_tuning(alone, moved, widen)
    scale = tuning * widen
    value = float(pull @ human + scale * (machine.mean() - pull @ machine))
    error, n_units = _clustered(alone + scale * moved, unit[judged], rated)
    limits = MeanEstimate(value, error, n_units - 1.0).interval(options.level)
    return JudgedMean(value, limits.low, limits.high, error, tuning, int(rated.sum()), n_alone)


def corrected_rewards(
    people: FloatArray, judge: FloatArray, people_chance: FloatArray, tuning: float = 1.0
) -> FloatArray:
    """Return a reward for every judged call that is people's rating on average, for use by any estimator.

    λ·judge + (people − λ·judge)/(chance of a person's rating) where a person rated, λ·judge elsewhere; NaN where the
    judge did not rate. It may leave the range of the ratings.

    Parameters
    ----------
    people_chance : ndarray, shape (n_calls,)
        In (0, 1], of judged calls.
    tuning : float
        λ, fixed before these ratings were seen.
    """
    missed = np.where(np.isnan(people), 0.0, np.nan_to_num(people) - tuning * judge)
    return np.asarray(tuning * judge + missed / people_chance)


def _influences(human: FloatArray, machine: FloatArray, pull: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return each call's part in the error of people's mean, and in that of the judge's correction of it."""
    alone = pull * (human - pull @ human)
    moved = (machine - machine.mean()) / machine.size - pull * (machine - pull @ machine)
    return alone, moved


def _best_tuning(alone: FloatArray, moved: FloatArray, widen: float) -> float:
    spread = float(moved @ moved) * widen
    return float(np.clip(-(alone @ moved) / spread, 0.0, 1.0)) if spread > 0.0 else 0.0


def _clustered(influence: FloatArray, unit: IntArray, rated: BoolArray) -> tuple[float, int]:
    """Return the standard error over sessions, and how many of them people rated."""
    number = np.unique(unit, return_inverse=True)[1].reshape(-1)
    n_units = int(np.unique(number[rated]).size)
    square = float((np.bincount(number, influence) ** 2).sum())
    return math.sqrt(square * n_units / max(n_units - 1, 1)), n_units
