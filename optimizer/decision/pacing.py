"""How many dollars a call may cost, so that a limit lasts until its window ends: calls to come, and what is left.

What it does to a choice is `held`'s affair; refusing a call that does not fit is the ledger's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np

from optimizer.decision.belief import FloatArray
from optimizer.decision.evidence import DAY_S, FINE_S, HOUR_S
from optimizer.decision.windows import WindowKind

_DAYS = 28  # how many earlier days are looked at
_LATELY_S = 6 * HOUR_S  # what goes on as it is, while no earlier day is known
_FREE_USD = 1e-12  # in all: nothing to share in proportion to
_ROUNDS = 60  # of halving an interval: down to the last bit


class CallBucket(NamedTuple):
    """Calls that began in a span of time."""

    start_s: int
    width_s: int
    n: float


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A spending limit in its present window, and how far it is used.

    Attributes
    ----------
    reserved_usd : float
        What calls in flight may cost at worst.
    use_case : str or None
        Whose limit it is; None is the limit over everything.
    n_in_flight : int or None
        Calls behind `reserved_usd`; where it is known, they are counted at what they are expected to cost.
    """

    window: WindowKind
    limit_usd: float
    spent_usd: float
    reserved_usd: float
    starts_at: datetime
    ends_at: datetime
    use_case: str | None = None
    n_in_flight: int | None = None

    def left_usd(self, usd_per_call: float) -> float:
        """Return what calls still to come may cost in all, where one in flight is expected to cost `usd_per_call`."""
        in_flight = self.reserved_usd
        if self.n_in_flight is not None:
            in_flight = min(in_flight, self.n_in_flight * usd_per_call)
        return max(self.limit_usd - self.spent_usd - in_flight, 0.0)

    @property
    def name(self) -> str:
        """The limit in words, such as `the daily limit of chat`."""
        adjective = {"hour": "hourly", "day": "daily", "month": "monthly"}[self.window]
        return f"the {adjective} limit" + (f" of {self.use_case}" if self.use_case else "")


@dataclass(frozen=True, slots=True)
class Target:
    """What a call of a use case may cost on average, and the limit that has the say."""

    usd_per_call: float
    limit: LimitUse


def calls_until(buckets: Sequence[CallBucket], now_s: float, until_s: float, half_life_s: float) -> float | None:
    """Return how many calls to expect until a window ends.

    As many as in the same hours of earlier days: their mean, faded by 2^(−age/half-life), over the days known, and a
    mean day for every whole day to come. Where more than that came lately, by two standard errors, the excess goes on:
    too many expected is made good later, too few is not. Before a day is known, calls go on as lately. That is in the
    last six hours, or since the first call in them.

    Returns
    -------
    float or None
        None where no call is known.
    """
    known = sorted(bucket for bucket in buckets if bucket.start_s < now_s and bucket.n > 0)
    ahead_s = max(until_s - now_s, 0.0)
    if not known:
        return None
    lately, lately_s = _lately(known, now_s)
    known_s = now_s - known[0].start_s
    days = np.arange(1.0, min(int(known_s / DAY_S), _DAYS) + 1.0) * DAY_S
    if not days.size:
        return lately * ahead_s / lately_s
    weight = 2.0 ** (-days / half_life_s)
    whole, rest_s = divmod(ahead_s, DAY_S)
    usual = whole * _between(known, now_s, now_s - days, DAY_S) + _between(known, now_s, now_s - days, rest_s)
    expected = float(weight @ usual / weight.sum())
    seen = days + lately_s <= known_s
    if seen.any():
        before = _between(known, now_s, now_s - days[seen] - lately_s, lately_s)
        expected += _excess(lately, float(weight[seen] @ before / weight[seen].sum())) * ahead_s / lately_s
    return expected


def _lately(buckets: Sequence[CallBucket], now_s: float) -> tuple[float, float]:
    """Return how many calls began in the last six hours, or since the first call in them, and how long that is."""
    since_s = now_s - _LATELY_S
    first_s = min((b.start_s for b in buckets if b.start_s + b.width_s > since_s), default=since_s)
    width_s = min(max(now_s - first_s, FINE_S), _LATELY_S)
    return float(_between(buckets, now_s, np.array([now_s - width_s]), width_s)[0]), float(width_s)


def _excess(n: float, usual: float) -> float:
    """Return how many calls are more than chance makes of the usual ones."""
    return max(n - usual - 2.0 * math.sqrt(usual + 1.0), 0.0)


def _between(buckets: Sequence[CallBucket], now_s: float, from_s: FloatArray, width_s: float) -> FloatArray:
    """Return how many calls began within `width_s` of each time, evenly spread inside a bucket up to now."""
    start = np.array([bucket.start_s for bucket in buckets])
    width = np.minimum([bucket.width_s for bucket in buckets], now_s - start)
    n = np.array([bucket.n for bucket in buckets])
    before, after = (np.clip((at[:, None] - start) / width, 0.0, 1.0) @ n for at in (from_s, from_s + width_s))
    return np.asarray(after - before)


def allotted(left_usd: float, n_calls: FloatArray, own_usd: FloatArray, least_usd: FloatArray) -> FloatArray:
    """Return the dollars a call that each of several use cases may cost, so that together they spend what is left.

    All shrink, or grow, what they would spend by themselves by the same factor, but none below the least that it can
    do with, while that suffices. One λ for all would be worth more, but a floor has no λ, and requests of one use case
    may each bring an objective of their own; a factor serves all of them.

    Parameters
    ----------
    n_calls : ndarray, shape (n_use_cases,)
        Calls expected until the window ends.
    own_usd, least_usd : ndarray, shape (n_use_cases,)
        Dollars a call under the objective alone, and at the cheapest.
    """
    own = np.maximum(own_usd, least_usd)
    least_of_all = float(n_calls @ least_usd)
    if least_of_all >= left_usd:
        wanted = least_usd * (left_usd / least_of_all) if least_of_all else np.zeros_like(least_usd)
    elif n_calls @ own > _FREE_USD:
        wanted = np.maximum(least_usd, _factor(left_usd, n_calls, own, least_usd) * own)
    else:
        wanted = np.full_like(own, left_usd / max(float(n_calls.sum()), 1.0))
    return np.minimum(wanted, left_usd)


def _factor(left_usd: float, n_calls: FloatArray, own_usd: FloatArray, least_usd: FloatArray) -> float:
    low, high = 0.0, left_usd / float(n_calls @ own_usd)
    for _ in range(_ROUNDS):
        middle = (low + high) / 2.0
        fits = float(n_calls @ np.maximum(least_usd, middle * own_usd)) <= left_usd
        low, high = (middle, high) if fits else (low, middle)
    return low
