"""The table of spending against limits: window after window, with the pace that lasts and what is expected."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import polars as pl

from optimizer.analysis.figure_tables.buckets import Period, measured, moment
from optimizer.decision.evidence import CALLS, COST
from optimizer.decision.pacing import CallBucket, LimitUse, calls_until
from optimizer.decision.windows import Window, WindowKind, window_at
from optimizer.domain import NANO_USD

_SHOWN: Mapping[WindowKind, int] = {"hour": 24, "day": 7, "month": 2}  # windows, the present one included
_POINTS: Mapping[WindowKind, int] = {"hour": 12, "day": 48, "month": 120}  # of each window, at most
_AHEAD = 12  # points until the present window ends
_DAY = timedelta(days=1)
_COLUMNS: dict[str, Any] = {
    "limit": pl.String,
    "window": pl.Datetime("us", "UTC"),
    "at": pl.Datetime("us", "UTC"),
    "spent_usd": pl.Float64,
    "expected_usd": pl.Float64,
    "pace_usd": pl.Float64,
    "limit_usd": pl.Float64,
}
_Row = tuple[str, datetime, datetime, float | None, float | None, float | None, float]


@dataclass(frozen=True, slots=True)
class Paced:
    """A limit as it is used now, and what is expected of its window's end.

    Attributes
    ----------
    half_lives : mapping of str to timedelta
        Use case → how fast its earlier days fade in the forecast of its calls.
    """

    use: LimitUse
    expected_usd: float | None
    half_lives: Mapping[str, timedelta]


def spend_against_budget(evidence: pl.DataFrame, limits: Sequence[Paced], now: datetime, zone: tzinfo) -> pl.DataFrame:
    """Return a row per limit, window and moment: dollars since the window began, and the pace that lasts.

    `spent_usd` is null in the future, `expected_usd` in the past. `pace_usd` is the limit, shared evenly over the
    window's calls, those to come as forecast; null where none are known. The last 24 hours, 7 days or 2 months are
    shown, as far as evidence reaches; of the present window, the last sum is the ledger's own.
    """
    rows = [row for paced in limits for row in _of_limit(evidence, paced, now, zone)]
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def _of_limit(evidence: pl.DataFrame, paced: Paced, now: datetime, zone: tzinfo) -> Iterator[_Row]:
    use = paced.use
    history = _History.of(evidence if use.use_case is None else evidence.filter(use_case=use.use_case), now)
    if not history.start.size:
        return
    for window in _windows(use, now, zone, since_s=float(history.start[0])):
        if window.end > now:
            yield from _present(history, paced, window, now)
        else:
            yield from _past(history, use, window)


def _windows(use: LimitUse, now: datetime, zone: tzinfo, *, since_s: float) -> list[Window]:
    """Return the present window and those before it, the oldest first, as far back as anything is known."""
    found = [window_at(use.window, now, zone)]
    while len(found) < _SHOWN[use.window] and found[-1].start.timestamp() > since_s:
        found.append(window_at(use.window, found[-1].start - timedelta(seconds=1), zone))
    return found[::-1]


@dataclass(frozen=True)
class _History:
    """Dollars and calls in buckets, in order of time, and calls by use case for the forecast; seconds."""

    start: np.ndarray
    width: np.ndarray
    usd: np.ndarray
    n: np.ndarray
    by_use_case: Mapping[str, Sequence[CallBucket]]

    @classmethod
    def of(cls, evidence: pl.DataFrame, now: datetime) -> "_History":
        period = Period(until=now)
        calls = measured(evidence, CALLS, period)
        both = [measured(evidence, COST, period).select("start_s", "width_s", usd=pl.col("total") / NANO_USD)]
        both.append(calls.select("start_s", "width_s", pl.col("n")))
        sums = pl.concat(both, how="diagonal").group_by("start_s", "width_s").agg(pl.col("usd", "n").sum())
        sums = sums.filter((pl.col("usd") > 0.0) | (pl.col("n") > 0)).sort("start_s", "width_s")
        start, width, usd, n = sums.cast(pl.Float64).to_numpy().T
        return cls(start, width, usd, n, _by_use_case(calls))

    def within(self, window: Window, until: datetime) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return when the buckets that begin in a window end, and dollars and calls from its beginning until then."""
        inside = (self.start >= window.start.timestamp()) & (self.start < min(window.end, until).timestamp())
        ends = np.minimum((self.start + self.width)[inside], min(window.end, until).timestamp())
        kept = _thinned(ends.size, _POINTS[window.kind])
        return ends[kept], np.cumsum(self.usd[inside])[kept], np.cumsum(self.n[inside])[kept]


def _thinned(n: int, most: int) -> np.ndarray:
    """Return which of n points to keep: the last one, and evenly spread ones before it."""
    every = max(math.ceil(n / most), 1)
    return np.arange((n - 1) % every, n, every)


def _by_use_case(calls: pl.DataFrame) -> dict[str, list[CallBucket]]:
    sums = calls.group_by("use_case", "start_s", "width_s", maintain_order=True).agg(pl.col("n").sum())
    found: dict[str, list[CallBucket]] = {}
    for name, start_s, width_s, n in sums.iter_rows():
        found.setdefault(name, []).append(CallBucket(start_s, width_s, n))
    return found


def _past(history: _History, use: LimitUse, window: Window) -> Iterator[_Row]:
    ends, usd, n = history.within(window, window.end)
    if not ends.size:
        return
    yield (use.name, window.start, window.start, 0.0, None, 0.0, use.limit_usd)
    for end, spent, calls in zip(ends.tolist(), usd.tolist(), n.tolist(), strict=True):
        pace = use.limit_usd * calls / n[-1] if n[-1] else None
        yield (use.name, window.start, moment(end), spent, None, pace, use.limit_usd)
    if ends[-1] < window.end.timestamp():
        yield (use.name, window.start, window.end, float(usd[-1]), None, use.limit_usd, use.limit_usd)


def _present(history: _History, paced: Paced, window: Window, now: datetime) -> Iterator[_Row]:
    use = paced.use
    ends, usd, n = history.within(window, now)
    n_now = float(n[-1]) if n.size else 0.0
    ahead = _ahead(history, paced, window, now)
    whole = n_now + ahead[-1][1]
    scale = use.spent_usd / float(usd[-1]) if usd.size and usd[-1] else 1.0

    def pace(calls: float) -> float | None:
        return use.limit_usd * calls / whole if whole else None

    yield (use.name, window.start, window.start, 0.0, None, pace(0.0), use.limit_usd)
    for end, spent, calls in zip(ends[:-1].tolist(), usd[:-1].tolist(), n[:-1].tolist(), strict=True):
        yield (use.name, window.start, moment(end), spent * scale, None, pace(calls), use.limit_usd)
    more = None if paced.expected_usd is None else paced.expected_usd - use.spent_usd
    for at, calls in ahead:
        part = calls / ahead[-1][1] if ahead[-1][1] else 0.0
        expected = None if more is None else use.spent_usd + more * part
        spent_now = use.spent_usd if at == now else None
        yield (use.name, window.start, at, spent_now, expected, pace(n_now + calls), use.limit_usd)


def _ahead(history: _History, paced: Paced, window: Window, now: datetime) -> list[tuple[datetime, float]]:
    """Return moments from now to the window's end, and how many calls are expected until each."""
    step = (window.end - now) / _AHEAD
    return [(at, _to_come(history, paced, now, at)) for at in (now + i * step for i in range(_AHEAD + 1))]


def _to_come(history: _History, paced: Paced, now: datetime, until: datetime) -> float:
    return sum(
        calls_until(buckets, now.timestamp(), until.timestamp(), paced.half_lives.get(name, _DAY).total_seconds())
        or 0.0
        for name, buckets in history.by_use_case.items()
    )
