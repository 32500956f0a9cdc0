"""Who rates a simulated answer, how, and when: seldom, late, and rather where it was bad."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np

from optimizer.decision.belief import FloatArray
from optimizer.decision.credit import JUDGE

Scale = Literal["stars", "thumb", "tests"]

GATE = "valid_schema"
RATER_JUDGE = f"{JUDGE}claude-opus-5"
N_CHANCES, N_NOISES = 8, 4  # random numbers that the ratings of one answer take
STEP: Mapping[Scale, float] = {"stars": 0.25, "thumb": 1.0, "tests": 0.125}
NOISE: Mapping[Scale, float] = {"stars": 0.10, "thumb": 0.20, "tests": 0.05}
_LENIENT, _JUDGE_NOISE = 0.04, 0.08
_CORRECTED, _WITHDRAWN = 0.06, 0.09
_EARLY, _HOURS = 0.08, 0.30


@dataclass(frozen=True, slots=True)
class Panel:
    """The raters of one use case. Shares are of all answers.

    Attributes
    ----------
    scale : {"stars", "thumb", "tests"}
        Five stars, a thumb, or the share of eight tests that passed.
    users_worst, users_best : float
        Share of users who rate an answer of quality 0, and one of quality 1.
    only_down : bool
        Whether users never praise: a good rating of theirs does not arrive.
    checked, judged : float
        Shares rated, whatever the outcome, by a check and by a judging model.
    """

    scale: Scale
    users_worst: float
    users_best: float
    only_down: bool = False
    checked: float = 0.0
    judged: float = 0.0


PANELS: Mapping[str, Panel] = {
    "code_generation": Panel("tests", 0.0, 0.0, checked=0.25),
    "business_analytics": Panel("stars", 0.40, 0.10),
    "creative_content": Panel("stars", 0.35, 0.15),
    "quick_responses": Panel("thumb", 0.25, 0.0, only_down=True, checked=0.15),
    "code_analysis": Panel("stars", 0.40, 0.12),
    "research": Panel("stars", 0.35, 0.08, judged=0.15),
    "chat": Panel("thumb", 0.20, 0.0, only_down=True, judged=0.12),
}


@dataclass(frozen=True, slots=True)
class Rating:
    """One rating on its way.

    Attributes
    ----------
    after : timedelta
        Since the call was made; less than its latency where someone rates what is still being written.
    value : float or None
        In [0, 1]; None withdraws what this rater said of this metric before.
    """

    after: timedelta
    metric: str
    value: float | None
    rater: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What raters have before them.

    Attributes
    ----------
    merit : float
        How good the answer is before anyone grades it, in (0, 1); 0 where it misses the schema.
    quality : float
        The grade that a careful rater would give.
    valid_schema : bool or None
        None where no schema was asked for.
    """

    merit: float
    quality: float
    latency_ms: float
    valid_schema: bool | None = None


def graded(scale: Scale, merit: FloatArray, noise: FloatArray) -> FloatArray:
    """Return merit as read by raters with some noise (standard normal) and rounded to the steps of a scale."""
    step = STEP[scale]
    read: FloatArray = np.clip(merit + NOISE[scale] * noise, 0.0, 1.0)
    return np.rint(read / step) * step


def ratings(
    panel: Panel, reading: Reading, chances: list[float], noises: list[float], *, metric: str, gated: bool
) -> Iterator[Rating]:
    """Yield the ratings that one answer gets, each rater's in the order in which they come.

    Parameters
    ----------
    chances, noises : list of float
        `N_CHANCES` uniform and `N_NOISES` standard normal numbers of this answer.
    metric : str
        The use case's quality.
    gated : bool
        Whether the use case takes the metric `valid_schema`.
    """
    done = timedelta(milliseconds=reading.latency_ms)
    if gated and reading.valid_schema is not None:
        yield Rating(done + timedelta(milliseconds=5), GATE, float(reading.valid_schema), "check")
    if chances[0] < panel.checked:
        value = _value(panel.scale, reading, noises[0])
        yield Rating(done + timedelta(seconds=1 + 60 * chances[5]), metric, value, "check")
    if chances[1] < panel.judged:
        lenient = reading.merit + _LENIENT + _JUDGE_NOISE * noises[1] if reading.merit else 0.0
        value = round(20 * min(max(lenient, 0.0), 1.0)) / 20
        yield Rating(done + timedelta(minutes=2 + 20 * chances[6]), metric, value, RATER_JUDGE)
    yield from _of_users(panel, reading, chances, noises, metric)


def _of_users(
    panel: Panel, reading: Reading, chances: list[float], noises: list[float], metric: str
) -> Iterator[Rating]:
    willing = panel.users_best + (panel.users_worst - panel.users_best) * (1.0 - reading.quality)
    if chances[2] >= willing:
        return
    value = _value(panel.scale, reading, noises[2])
    if panel.only_down and value > 0.5:
        return
    after = _delay(reading.latency_ms, chances[3], noises[3])
    yield Rating(after, metric, value, "user")
    later = after + timedelta(minutes=1 + 90 * chances[7])
    if chances[4] < _CORRECTED:
        step = STEP[panel.scale]
        yield Rating(later, metric, value + step if value + step <= 1.0 else value - step, "user")
    elif chances[4] < _WITHDRAWN:
        yield Rating(later, metric, None, "user")


def _delay(latency_ms: float, chance: float, noise: float) -> timedelta:
    """Return when a user rates: some while the answer is written, most within minutes, some after hours."""
    if chance < _EARLY:
        return timedelta(milliseconds=latency_ms * (0.5 + 5 * chance))
    median_s = 3 * 3_600.0 if chance < _HOURS else 90.0
    return timedelta(milliseconds=latency_ms, seconds=min(median_s * math.exp(0.9 * noise), 20 * 3_600.0))


def _value(scale: Scale, reading: Reading, noise: float) -> float:
    return float(graded(scale, np.asarray(reading.merit), np.asarray(noise))) if reading.merit else 0.0
