"""Drift: which models are no longer what they were, and since when.

Alarms follow from buckets of sums and from earlier alarms alone, so whoever sees the same evidence finds the same ones.
Keeping them, and telling people, is left to others.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import rel_entr

from optimizer.decision.belief import FloatArray, IntArray
from optimizer.decision.evidence import DAY_S, FAILURE, QUALITY

Direction = Literal["decline", "improvement"]
Subject = Literal["quality", "failure"]

# Steady streams of coins, graded ratings and rare events, looked at every hour, pass 4.25 at most .5 times per model
# and hundred days: at 5,800 ratings a day; .25 times at 400, never at 20. (4: 1.4 times at most.)
THRESHOLD = 4.25
WEIGHT_BEFORE = 0.1  # of what was seen before an alarm,
MOST_BEFORE = 150.0  # ratings or attempts, which it weighs at most: a tenth of a busy week would outweigh a day
SCANNED_S = 14 * DAY_S  # how far back splits are tried, and buckets are looked at
APART_S = DAY_S  # between two alarms of one model, subject and direction, at least
_EVER_S = np.iinfo(np.int64).min
_COIN_WEIGHT = 6.0  # ratings at which a cell's own scatter is believed by half; before, they count as coins


@dataclass(frozen=True, order=True, slots=True)
class Alarm:
    """A model is not what it was before `since_s`, seconds since the epoch.

    `subject` says what it was seen in: in ratings and checks, or in attempts that failed, where more are a decline.
    """

    since_s: int
    model_id: str
    subject: Subject
    direction: Direction

    def __str__(self) -> str:
        """Return what it means, for people."""
        return f"{self.model_id} {_MEANING[self.subject, self.direction]}"


_MEANING = {
    ("quality", "decline"): "answers worse than before",
    ("quality", "improvement"): "answers better than before",
    ("failure", "decline"): "fails more often than before",
    ("failure", "improvement"): "fails less often than before",
}


@dataclass(frozen=True)
class Buckets:
    """One measure's sums, bucket by bucket, not faded.

    Attributes
    ----------
    start_s : ndarray of int, shape (n_buckets,)
        When each begins; ascending.
    n, total, square : ndarray, shape (n_buckets, n_cells, n_models)
        Count, sum and sum of squares of values in [0, 1].
    """

    start_s: IntArray
    n: FloatArray
    total: FloatArray
    square: FloatArray


def alarms_in(measures: Mapping[str, Buckets], models: Sequence[str], known: Iterable[Alarm] = ()) -> list[Alarm]:
    """Return what is new: for each model and subject its clearest shift, where it is clear enough.

    Parameters
    ----------
    measures : mapping of str to Buckets
        By the names that evidence has for measures; all on one model axis.
    models : sequence of str
        The model axis.
    known : iterable of Alarm
        Earlier ones: each is where a model's past begins, and no second one follows within a day.
    """
    known = tuple(known)
    found = []
    threshold = math.sqrt(THRESHOLD**2 + 2.0 * math.log(max(len(measures), 1)))  # one budget of error for them all
    for subject in ("quality", "failure"):
        begun = changed_since(known, subject)
        begun_s = np.array([begun.get(model, _EVER_S) for model in models], dtype=np.int64)
        of_subject = [buckets for name, buckets in measures.items() if (name == FAILURE) == (subject == "failure")]
        if not of_subject:
            continue
        scores, since_s = (np.stack(each) for each in zip(*(shifts(b, begun_s) for b in of_subject), strict=True))
        clearest = np.abs(scores).argmax(axis=0)
        for arm in np.flatnonzero(np.abs(scores).max(axis=0) > threshold).tolist():
            better = (scores[clearest[arm], arm] > 0) == (subject == "quality")
            direction: Direction = "improvement" if better else "decline"
            found.append(Alarm(int(since_s[clearest[arm], arm]), models[arm], subject, direction))
    return [alarm for alarm in found if not any(_repeats(alarm, other) for other in known)]


def changed_since(alarms: Iterable[Alarm], subject: Subject) -> dict[str, int]:
    """Return model → the second that its latest alarm names; what was seen before weighs less."""
    return {alarm.model_id: alarm.since_s for alarm in sorted(alarms) if alarm.subject == subject}


def weight_before(n_before: FloatArray) -> FloatArray:
    """Return what each model's evidence before its latest alarm weighs: a tenth, and never more than 150 ratings.

    Parameters
    ----------
    n_before : ndarray, shape (n_models,)
        Faded ratings, or attempts, before it.
    """
    return np.minimum(WEIGHT_BEFORE, MOST_BEFORE / np.maximum(n_before, 1.0))


def subject_of(measure: str) -> Subject | None:
    """Return what a measure of evidence tells of; None where drift does not show in it."""
    if measure.startswith(QUALITY):
        return "quality"
    return "failure" if measure == FAILURE else None


def _repeats(alarm: Alarm, other: Alarm) -> bool:
    same = (alarm.model_id, alarm.subject, alarm.direction) == (other.model_id, other.subject, other.direction)
    return same and abs(alarm.since_s - other.since_s) < APART_S


def shifts(buckets: Buckets, begun_s: IntArray | None = None) -> tuple[FloatArray, IntArray]:
    """Return each model's largest standardised difference between after and before a split, and the split.

    Parameters
    ----------
    buckets : Buckets
        Not modified.
    begun_s : ndarray of int, shape (n_models,), optional
        Where the past of each model begins; earlier buckets are left out.

    Returns
    -------
    (ndarray, ndarray), each of shape (n_models,)
        In standard deviations, positive where values rose; and the first second after the split.

    Notes
    -----
    With m_c a cell's mean over all its buckets, Σ_c (Σy − n·m_c) after a split is Σ_c w_c·(mean after − mean before),
    w_c = n_after·n_before/n: each cell is held to its own past, and traffic that moves between cells shifts nothing.
    No rating moves the sum by more than 1, so with v = Σ_c w_c·σ_c²/w and w = Σ_c w_c it passes w·x with a chance below
    exp(−w·KL), KL that of coins of bias (x + v)/(1 + v) and v/(1 + v) (Hoeffding 1963, JASA 58:13, theorem 3). √(2w·KL)
    is x/√(v/w) where ratings are many, and asks for more where few or rare ones could have come to it by chance.
    """
    n_buckets, _, n_models = buckets.n.shape
    if n_buckets < 2:
        return np.zeros(n_models), np.zeros(n_models, dtype=np.int64)
    begun_s = np.full(n_models, _EVER_S) if begun_s is None else begun_s
    first = np.searchsorted(buckets.start_s, begun_s)
    n, total, square = (_from(sums, first) for sums in (buckets.n, buckets.total, buckets.square))
    seen, variance = np.maximum(n, 1e-9), _variance(n, total, square)
    residual = buckets.total.sum(axis=1) - _over_cells(buckets.n, total / seen)
    residual[np.arange(n_buckets)[:, None] < first] = 0.0
    difference = -np.cumsum(residual, axis=0)[:-1]
    before = np.cumsum(buckets.n, axis=0)
    for arm in np.flatnonzero(first).tolist():
        before[:, :, arm] -= before[first[arm] - 1, :, arm]
    before = before[:-1]
    weight, spread = before.sum(axis=1), _over_cells(before, variance)
    np.square(before, out=before)
    weight -= _over_cells(before, 1.0 / seen)
    spread -= _over_cells(before, variance / seen)
    scores = np.sign(difference) * _deviations(np.abs(difference), spread, weight)
    split = np.abs(scores).argmax(axis=0)
    return scores[split, np.arange(n_models)], np.asarray(buckets.start_s[split + 1])


def _from(sums: FloatArray, first: IntArray) -> FloatArray:
    """Return the sums over buckets, of each model from its own first one on; shape (n_cells, n_models)."""
    found = sums.sum(axis=0)
    for arm in np.flatnonzero(first).tolist():
        found[:, arm] = sums[first[arm] :, :, arm].sum(axis=0)
    return np.asarray(found)


def _over_cells(values: FloatArray, weight: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("bca,ca->ba", values, weight))


def _deviations(difference: FloatArray, variance: FloatArray, weight: FloatArray) -> FloatArray:
    weight = np.maximum(weight, 1e-9)
    variance = np.maximum(variance / weight, 1e-9)
    usual = variance / (1.0 + variance)
    reached = np.clip((difference / weight + variance) / (1.0 + variance), usual, 1.0)
    divergence = rel_entr(reached, usual) + rel_entr(1.0 - reached, 1.0 - usual)
    return np.asarray(np.sqrt(2.0 * weight * np.maximum(divergence, 0.0)))


def _variance(n: FloatArray, total: FloatArray, square: FloatArray) -> FloatArray:
    """Return σ² of every cell: its own scatter, shrunk to that of a coin of its mean."""
    scatter = np.maximum(square - total**2 / np.maximum(n, 1e-9), 0.0)
    mean = (total + 1.0) / (n + 2.0)
    return np.asarray((scatter + _COIN_WEIGHT * mean * (1.0 - mean)) / (np.maximum(n - 1.0, 0.0) + _COIN_WEIGHT))
