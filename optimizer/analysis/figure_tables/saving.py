"""Tables of savings: by use case, and how they built up over time, both ending at the report's own numbers."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import polars as pl

from optimizer.analysis.figure_tables.buckets import ALWAYS, Period, at, measured, moment, stretched, width_s
from optimizer.analysis.parts import Report, UseCaseReport
from optimizer.analysis.savings import Saving
from optimizer.decision.evidence import CACHED_TOKENS, COST, INPUT_TOKENS, OUTPUT_TOKENS
from optimizer.domain import NANO_USD, Price

BaselinePrice = Callable[[str, datetime], Price]

_MONEY = {
    "use_case": pl.String,
    "baseline": pl.String,
    "calls": pl.Int64,
    "paid_usd": pl.Float64,
    "saved_usd": pl.Float64,
    "saved_low_usd": pl.Float64,
    "saved_high_usd": pl.Float64,
    "saved_share": pl.Float64,
    "baseline_usd": pl.Float64,
}
_TOKENS = {"input": INPUT_TOKENS, "cached": CACHED_TOKENS, "output": OUTPUT_TOKENS}
_CELL = ["use_case", "model", "start_s"]
_SUMS = ("own_usd", "priced_usd", "paid_usd")


def money(report: Report) -> pl.DataFrame:
    """Return a row per use case, the dearest baseline first: calls, paid and saved dollars with 95% limits, share."""
    rows = [
        (
            part.use_case,
            part.baseline,
            part.figures.n_calls,
            part.saving.paid_usd,
            part.saving.saved_usd,
            part.saving.low_usd,
            part.saving.high_usd,
            part.saving.share,
            part.saving.baseline_usd,
        )
        for part in report.use_cases
        if part.saving is not None
    ]
    return pl.DataFrame(rows, schema=_MONEY, orient="row").sort("baseline_usd", descending=True)


def savings_build_up(
    evidence: pl.DataFrame, report: Report, price: BaselinePrice, period: Period = ALWAYS
) -> pl.DataFrame:
    """Return a row per stretch of time: dollars from the beginning until its end (`at`), and the first row of nothing.

    What a baseline would have cost of what others served follows its price list, call by call, scaled so that the last
    row is the report's; what it served itself saved nothing. The band is the report's interval times √f, where f is
    the part of that cost so far: as if all of it were chance, the widest that it can be.

    Parameters
    ----------
    price : callable
        Takes a model and an aware time; returns what it charged then as a baseline.
    """
    parts = [part for part in report.use_cases if part.saving is not None]
    found = [frame for part in parts if (frame := _use_case(evidence, part, price, period)) is not None]
    if not found or report.saving is None:
        return _with_times([], 0, report.saving)
    frame = pl.concat(found)
    width = width_s(frame)
    sums = stretched(frame, width).group_by("start_s").agg(pl.col(_SUMS).sum()).sort("start_s")
    so_far = sums.select("start_s", *(pl.col(name).cum_sum() for name in _SUMS))
    first = (so_far["start_s"][0] - width, 0.0, 0.0, 0.0)
    return _with_times([first, *so_far.iter_rows()], width, report.saving)


def _use_case(evidence: pl.DataFrame, part: UseCaseReport, price: BaselinePrice, period: Period) -> pl.DataFrame | None:
    """Return by bucket: what the baseline served itself, what it would have cost of the rest, and what was paid."""
    saving, baseline = part.saving, part.baseline
    mine = evidence.filter(use_case=part.use_case)
    cost = measured(mine, COST, period).select(*_CELL, cost_usd=pl.col("total") / NANO_USD)
    if saving is None or baseline is None or not cost["cost_usd"].sum():
        return None
    cells = cost.join(_tokens(mine, period), on=_CELL, how="left")
    listed = pl.Series("listed_usd", list(_listed(cells, baseline, price)), dtype=pl.Float64)
    own = pl.col("model") == baseline
    frame = cells.with_columns(listed).select(
        "start_s",
        own_usd=pl.when(own).then("cost_usd").otherwise(0.0),
        priced_usd=pl.when(own).then(0.0).otherwise("listed_usd").fill_null(0.0),
        paid_usd=pl.col("cost_usd"),
    )
    return _scaled(frame, saving)


def _tokens(evidence: pl.DataFrame, period: Period) -> pl.DataFrame:
    """Return by model and bucket: calls of known usage, and their tokens."""
    frames = [
        measured(evidence, measure, period).select(*_CELL, pl.col("n").alias(f"n_{name}"), pl.col("total").alias(name))
        for name, measure in _TOKENS.items()
    ]
    first, *others = frames
    for other in others:
        first = first.join(other, on=_CELL, how="left")
    return first


def _listed(cells: pl.DataFrame, baseline: str, price: BaselinePrice) -> Iterator[float | None]:
    """Yield what the baseline's price list asks for the calls of each row: for one of mean length, times their number.

    The sum of their tokens would pass for one very long request, which some charge more for.
    """
    for start, n, *totals in cells.select("start_s", "n_input", *_TOKENS).iter_rows():
        if not n:
            yield None
            continue
        n_input, n_cached, n_output = (float(total or 0.0) / n for total in totals)
        usd = price(baseline, moment(start)).cost_usd(n_input, n_output, n_cached)
        yield None if usd is None else n * usd


def _scaled(frame: pl.DataFrame, saving: Saving) -> pl.DataFrame:
    """Scale sums to those of the report, which know failed attempts and what of the price list was measured."""
    own, priced, cost = (float(frame[name].sum()) for name in _SUMS)
    paid = saving.paid_usd / cost
    own *= paid
    rest = max(saving.baseline_usd - own, 0.0)
    # Where no price is known, in proportion to what was paid.
    follows, total = ("priced_usd", priced) if priced else ("paid_usd", cost)
    return frame.with_columns(
        own_usd=pl.col("own_usd") * paid,
        priced_usd=pl.col(follows) * rest / total,
        paid_usd=pl.col("paid_usd") * paid,
    )


def _with_times(rows: Sequence[tuple[float, ...]], width: int, saving: Saving | None) -> pl.DataFrame:
    schema = {"start_s": pl.Int64} | dict.fromkeys(_SUMS, pl.Float64)
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        baseline_usd=pl.col("own_usd") + pl.col("priced_usd"),
        f=(pl.col("priced_usd") / pl.col("priced_usd").last()).fill_nan(1.0),
    )
    saved = pl.col("baseline_usd") - pl.col("paid_usd")
    low, high = (None, None) if saving is None else (saving.low_usd, saving.high_usd)
    middle = 0.0 if saving is None else saving.saved_usd
    reach = {
        name: pl.lit(None, pl.Float64) if limit is None else saved + (limit - middle) * pl.col("f").sqrt()
        for name, limit in (("saved_low_usd", low), ("saved_high_usd", high))
    }
    return frame.select(at("start_s", width).alias("at"), "paid_usd", "baseline_usd", saved.alias("saved_usd"), **reach)
