"""Evidence as a table of one measure, in stretches of time that are few enough to be drawn."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import polars as pl

from optimizer.decision.evidence import DAY_S, HOUR_S, EvidenceKey, Sums

MOST = 90  # stretches of time in a figure
# Evidence keeps hours for a month only, which 90 stretches of six hours do not reach.
_WIDTHS = (HOUR_S, 6 * HOUR_S, DAY_S, 7 * DAY_S)
_WIDEST_S = 30 * DAY_S
_COLUMNS: dict[str, Any] = {
    "use_case": pl.String,
    "segment": pl.String,
    "model": pl.String,
    "measure": pl.String,
    "start_s": pl.Int64,
    "width_s": pl.Int64,
    "n": pl.Int64,
    "total": pl.Int64,
    "square": pl.Int64,
}


class Period(NamedTuple):
    """From when to when calls count; None is the first and the last. Buckets count where they begin in it."""

    since: datetime | None = None
    until: datetime | None = None


ALWAYS = Period()


def evidence_table(rows: Mapping[EvidenceKey, Sums]) -> pl.DataFrame:
    """Return evidence as a table, in its own units; a ledger of ten million calls has some million rows of it."""
    columns = zip(*(key + sums for key, sums in rows.items()), strict=True) if rows else ([] for _ in _COLUMNS)
    return pl.DataFrame(
        [pl.Series(name, column, kind) for (name, kind), column in zip(_COLUMNS.items(), columns, strict=True)]
    )


def measured(evidence: pl.DataFrame, measure: str, period: Period = ALWAYS) -> pl.DataFrame:
    """Return a row per use case, model, bucket and `part`: what a measure's name has after `measure`, such as a bin.

    Columns `n` and `total` are the sums over segments.
    """
    since, until = (None if at is None else at.timestamp() for at in period)
    found = evidence.filter(
        pl.col("measure").str.starts_with(measure),
        pl.lit(value=True) if since is None else pl.col("start_s") >= since,
        pl.lit(value=True) if until is None else pl.col("start_s") < until,
    )
    keys = ["use_case", "model", "part", "start_s", "width_s"]
    found = found.with_columns(part=pl.col("measure").str.strip_prefix(measure))
    return found.group_by(keys).agg(pl.col("n", "total").sum()).sort(keys)


def width_s(frame: pl.DataFrame, most: int = MOST) -> int:
    """Return how wide stretches of time should be, an hour at least, so that not many more than `most` are needed."""
    starts = frame["start_s"].to_list()
    span = max(starts, default=0) - min(starts, default=0)
    return next((width for width in _WIDTHS if span < most * width), _WIDEST_S)


def stretched(frame: pl.DataFrame, width: int) -> pl.DataFrame:
    """Return the table with `start_s` at the beginning of the stretch of time that each bucket begins in."""
    return frame.with_columns(start_s=pl.col("start_s") // width * width)


def at(seconds: str, later_s: int = 0) -> pl.Expr:
    """Return a column of seconds since the epoch as aware times, UTC, so much later."""
    return pl.from_epoch(pl.col(seconds) + later_s, time_unit="s").dt.replace_time_zone("UTC")


def moment(seconds: float) -> datetime:
    """Return seconds since the epoch as an aware time, UTC."""
    return datetime.fromtimestamp(seconds, UTC)
