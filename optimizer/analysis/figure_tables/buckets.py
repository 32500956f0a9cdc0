"""Evidence as a table of one measure, in stretches of time that are few enough to be drawn."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from optimizer.decision.evidence import DAY_S, HOUR_S, EvidenceKey, Sums

Evidence = Mapping[EvidenceKey, Sums]

# How long a period may be for stretches of each width: at most 90 of them. Evidence keeps hours for a month only.
_WIDTHS = ((3 * DAY_S, HOUR_S), (15 * DAY_S, 6 * HOUR_S), (90 * DAY_S, DAY_S), (630 * DAY_S, 7 * DAY_S))
_WIDEST_S = 30 * DAY_S
_COLUMNS = {
    "use_case": pl.String,
    "model": pl.String,
    "part": pl.String,
    "start_s": pl.Int64,
    "n": pl.Int64,
    "total": pl.Float64,
    "square": pl.Float64,
}


class Period(NamedTuple):
    """From when to when calls count; None is the first and the last. Buckets count where they begin in it."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, start_s: object) -> bool:
        """Return whether a bucket that begins then counts."""
        if not isinstance(start_s, int | float):
            return False
        after = self.since is None or start_s >= self.since.timestamp()
        return after and (self.until is None or start_s < self.until.timestamp())


ALWAYS = Period()


def measured(evidence: Evidence, measure: str, period: Period = ALWAYS) -> pl.DataFrame:
    """Return a row per use case, model, bucket and `part`: what a measure's name has after `measure` (a bin, a metric).

    Columns `n`, `total` and `square` are the sums over segments, in evidence's own units.
    """
    rows = [
        (key.use_case, key.model_id, key.measure.removeprefix(measure), key.bucket_start_s, *sums)
        for key, sums in evidence.items()
        if key.measure.startswith(measure) and key.bucket_start_s in period
    ]
    frame = pl.DataFrame(rows, schema=_COLUMNS, orient="row")
    found = frame.group_by("use_case", "model", "part", "start_s").agg(pl.col("n", "total", "square").sum())
    return found.sort("use_case", "model", "part", "start_s")


def width_s(frame: pl.DataFrame) -> int:
    """Return how wide stretches of time should be for the buckets of a table: an hour at least."""
    starts = frame["start_s"].to_list()
    span = max(starts, default=0) - min(starts, default=0)
    return next((width for longest, width in _WIDTHS if span < longest), _WIDEST_S)


def stretched(frame: pl.DataFrame, width: int) -> pl.DataFrame:
    """Return the table with `start_s` at the beginning of the stretch of time that each bucket begins in."""
    return frame.with_columns(start_s=pl.col("start_s") // width * width)


def at(seconds: str, later_s: int = 0) -> pl.Expr:
    """Return a column of seconds since the epoch as aware times, UTC, so much later."""
    return pl.from_epoch(pl.col(seconds) + later_s, time_unit="s").dt.replace_time_zone("UTC")


def moment(seconds: float) -> datetime:
    """Return seconds since the epoch as an aware time, UTC."""
    return datetime.fromtimestamp(seconds, UTC)
