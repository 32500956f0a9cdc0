"""Tables of traffic, from evidence: who served as time went on, and how long callers waited."""

from collections.abc import Mapping

import polars as pl

from optimizer.analysis.figure_tables.buckets import ALWAYS, MOST, Period, at, measured, stretched, width_s
from optimizer.decision.credit import percentile_ms
from optimizer.decision.evidence import CALLS, LATENCY

_MOST_ROWS, _LEAST = 4_000, 12  # rows that a figure can show, and stretches of time that it must
_PERCENTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


def share_over_time(evidence: pl.DataFrame, incumbents: Mapping[str, str], period: Period = ALWAYS) -> pl.DataFrame:
    """Return a row per use case, stretch of time and model that served then: `calls`, and `share` of the stretch's.

    `at` and `until` bound the stretch; `incumbent` says whether the model is the use case's.

    Parameters
    ----------
    incumbents : mapping of str to str
        Use case → model.
    """
    calls = measured(evidence, CALLS, period)
    width = width_s(calls, _most(calls))
    served = stretched(calls, width).group_by("use_case", "start_s", "model").agg(calls=pl.col("n").sum())
    served = served.filter(pl.col("calls") > 0).with_columns(
        share=pl.col("calls") / pl.col("calls").sum().over("use_case", "start_s"),
        incumbent=pl.col("model") == pl.col("use_case").replace_strict(incumbents, default="", return_dtype=pl.String),
    )
    times = {"at": at("start_s"), "until": at("start_s", width)}
    return (
        served.sort("use_case", "start_s", "calls", "model", descending=[False, False, True, False])
        .with_columns(**times)
        .select("use_case", "model", "at", "until", "calls", "share", "incumbent")
    )


def _most(calls: pl.DataFrame) -> int:
    """Return how many stretches of time there is room for: fewer where many models serve many use cases."""
    n_series = calls.select("use_case", "model").n_unique()
    return max(min(MOST, _MOST_ROWS // max(n_series, 1)), _LEAST)


def latency(evidence: pl.DataFrame, period: Period = ALWAYS, *, by_use_case: bool = False) -> pl.DataFrame:
    """Return a row per model that served, by use case where asked: `calls`, `p50_ms`, `p95_ms`, `p99_ms`.

    Percentiles are read from bins of evidence and at most 9.1% too high.
    """
    keys = ["use_case", "model"] if by_use_case else ["model"]
    bins = measured(evidence, LATENCY, period).filter(pl.col("n") > 0)
    bins = bins.group_by(*keys, "part").agg(pl.col("n").sum())
    counts: dict[tuple[str, ...], dict[int, float]] = {}
    for *key, number, n in bins.select(*keys, "part", "n").iter_rows():
        counts.setdefault(tuple(key), {})[int(number)] = float(n)
    rows = [
        (*key, int(sum(by_bin.values())), *(percentile_ms(by_bin, share) for share in _PERCENTILES.values()))
        for key, by_bin in sorted(counts.items())
    ]
    schema = dict.fromkeys(keys, pl.String) | {"calls": pl.Int64} | dict.fromkeys(_PERCENTILES, pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row")
