"""Where does the money go? What calls cost by use case, tenant, model and tag, and whose are dearer than others'."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from optimizer.analysis.dry_run import Figure
from optimizer.analysis.frames import Frames
from optimizer.analysis.frames_questions import spend
from optimizer.analysis.intervals import ratio_interval
from optimizer.analysis.questions.reading import listed, with_limits
from optimizer.domain import JUDGING
from optimizer.errors import LedgerUnavailable

_SHOWN = 3
_UNNAMED = "(none)"
_DEAREST = (0.01, 0.1, 0.5)
_LEAST = 20  # calls of a tenant from which its costs are held against others'


@dataclass(frozen=True)
class Spending:
    """What a ledger says of money, as tables.

    Attributes
    ----------
    calls : DataFrame
        A row per served call: `use_case`, `tenant`, `session_id`, `decided_at`, `cost_usd` (null where unknown).
    totals : DataFrame
        One row: `n_calls`, `n_attempts`, `cost_usd`, `n_unknown_costs`; of judges and failed attempts, too.
    by : mapping of str to DataFrame
        `use_case`, `tenant`, `model`, `cost_source`, and `tag:NAME` for each tag → a row per value, the dearest first,
        with its `share` of the money and `usd_per_call`.
    """

    where: str
    calls: pl.DataFrame
    totals: pl.DataFrame
    by: dict[str, pl.DataFrame]
    failed_usd: float | None

    @property
    def tags(self) -> list[str]:
        """Names of the tags that calls have."""
        return [name.removeprefix("tag:") for name in self.by if name.startswith("tag:")]


def read_spending(frames: Frames) -> Spending:
    """Return what all calls of a ledger, or of an export, cost, and on what.

    Raises
    ------
    LedgerUnavailable
        If it holds no calls that were answered.
    """
    columns = ("call_id", "use_case", "tenant", "session_id", "decided_at", "cost_usd")
    calls = frames.served.select(*columns).to_polars()
    if calls.is_empty():
        raise LedgerUnavailable(f"{frames.where} holds no calls; `optimizer demo` makes a day of them")
    tags = sorted(frames.tags.select("name").distinct().to_polars()["name"].to_list())
    names = ("use_case", "tenant", "model", "cost_source", *(f"tag:{name}" for name in tags))
    failed = frames.attempts.filter(~frames.attempts.served)
    failed_usd = failed.aggregate(cost_usd=failed.cost_usd.sum()).to_polars()["cost_usd"].item()
    by = {name: attributed(frames, name) for name in names}
    return Spending(frames.where, calls, spend(frames).to_polars(), by, failed_usd)


def attributed(frames: Frames, *by: str) -> pl.DataFrame:
    """Return what each group spent, the most first, with its share of the money and dollars per call."""
    found: pl.DataFrame = spend(frames, *by).to_polars()
    total = found.select(pl.col("cost_usd").sum()).item()
    named = [pl.col(name).fill_null(_UNNAMED) for name in by]
    share = pl.col("cost_usd") / total if total else pl.lit(None, pl.Float64)
    return found.with_columns(*named, share=share, usd_per_call=pl.col("cost_usd") / pl.col("n_calls"))


def concentration(spending: Spending) -> pl.DataFrame:
    """Return which share of the money the dearest 1%, 10% and half of the calls cost."""
    cost = spending.calls["cost_usd"].drop_nulls().sort(descending=True)
    total = float(cost.sum())
    rows = []
    for part in _DEAREST:
        n = max(1, round(part * cost.len()))
        rows.append((part, n, float(cost.head(n).sum()) / total if total else None))
    schema = {"dearest": pl.Float64, "calls": pl.Int64, "share_of_money": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def beside_mix(spending: Spending) -> pl.DataFrame:
    """Return a row per tenant: what it paid, what its mix of use cases costs at everybody's mean, their ratio.

    The ratio has limits over sessions that hold for all tenants at once in 95 of 100 ledgers: above 1, the tenant's
    calls are dearer than is usual in its use cases, such as by their length. Tenants of fewer than twenty calls are
    left out.
    """
    calls = spending.calls.filter(pl.col("tenant").is_not_null(), pl.col("cost_usd").is_not_null())
    calls = calls.filter(pl.col("use_case") != JUDGING)
    calls = calls.with_columns(
        usual_usd=pl.col("cost_usd").mean().over("use_case"), unit=pl.col("session_id").fill_null(pl.col("call_id"))
    )
    parts = calls.partition_by("tenant", maintain_order=True)
    compared = [part for part in parts if part.height >= _LEAST and part["usual_usd"].sum()]
    rows = []
    for mine in compared:
        paid, usual = mine["cost_usd"].to_numpy(), mine["usual_usd"].to_numpy()
        # One tenant in twenty would seem apart by chance alone, if each had limits of its own (Bonferroni).
        found = ratio_interval(paid, np.asarray(usual), mine["unit"].to_list(), 1.0 - 0.05 / len(compared))
        rows.append((mine["tenant"][0], mine.height, float(paid.sum()), float(usual.sum()), *found))
    kinds = dict.fromkeys(("paid_usd", "usual_usd", "ratio", "ratio_low", "ratio_high"), pl.Float64)
    schema = {"tenant": pl.String, "calls": pl.Int64, **kinds}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("paid_usd", descending=True)


# In words


def in_words(spending: Spending) -> str:
    """Return the answer: how much, for what, for whom, by which model, and how unevenly."""
    return "\n".join(_lines(spending))


def _lines(spending: Spending) -> Iterator[str]:
    total = spending.totals.row(0, named=True)
    start, end = spending.calls.select(start=pl.col("decided_at").min(), end=pl.col("decided_at").max()).row(0)
    simulated = _simulated(spending)
    yield (
        f"{spending.where}: {total['n_calls']:,} {simulated}calls cost {_dollars(total['cost_usd'] or 0.0)}, "
        f"{start:%Y-%m-%d %H:%M} until {end:%Y-%m-%d %H:%M} UTC."
    )
    sources = {row["cost_source"]: row["share"] or 0.0 for row in spending.by["cost_source"].iter_rows(named=True)}
    yield (
        f"That sum is counted, not inferred, so it has no interval; {sources.get('estimated', 0.0):.1%} of it are "
        f"estimates, where usage was not told, and what {total['n_unknown_costs']:,} attempts cost is unknown."
    )
    for name, words in (("use_case", "For"), ("model", "By"), ("tenant", "On behalf of")):
        yield f"{words}: {_dearest(spending.by[name], name)}."
    for tag in spending.tags:
        yield f"By tag {tag}: {_dearest(spending.by[f'tag:{tag}'], f'tag:{tag}')}."
    if not spending.tags:
        yield "By tag: no call has one."
    shares = concentration(spending)["share_of_money"].to_list()
    if shares[0] is not None:
        yield f"The dearest 1% of the calls cost {shares[0]:.0%} of the money, the dearest 10% {shares[1]:.0%}."
    yield f"Beside others of the same use cases: {_dearer(beside_mix(spending))}."
    if spending.failed_usd is not None:
        yield f"Attempts that failed cost {_dollars(spending.failed_usd)} of it."


def _dollars(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 1.0 or not usd else f"${usd:.3g}"


def _simulated(spending: Spending) -> str:
    tag = spending.by.get("tag:simulated")
    return "SIMULATED " if tag is not None and tag["tag:simulated"].to_list() == ["yes"] else ""


def _dearest(frame: pl.DataFrame, name: str) -> str:
    if frame[name].to_list() == [_UNNAMED]:
        return f"no call names a {name}"
    rows = [row for row in frame.iter_rows(named=True) if row["share"] is not None]
    said = [f"{row[name]} {row['share']:.0%}" for row in rows[:_SHOWN]]
    rest = sum(row["share"] for row in rows[_SHOWN:])
    others = len(rows) - _SHOWN
    return listed([*said, f"{others} other{'s' if others > 1 else ''} {rest:.0%}"] if others > 0 else said)


def _dearer(frame: pl.DataFrame) -> str:
    if frame.is_empty():
        return "no tenants to compare"
    apart = frame.filter((pl.col("ratio_low") > 1.0) | (pl.col("ratio_high") < 1.0))
    if apart.is_empty():
        return "no tenant's calls are clearly dearer or cheaper than others'"
    return listed(
        [f"{row['tenant']} pays {_ratio(row)} times what they usually cost" for row in apart.iter_rows(named=True)]
    )


def _ratio(row: dict[str, Any]) -> str:
    return with_limits(Figure(row["ratio"], row["ratio_low"], row["ratio_high"]), "{:.2f}")
