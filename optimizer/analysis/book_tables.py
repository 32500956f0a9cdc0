"""A ledger's book as tables for notebooks, each a polars frame: money, spending, choices hour by hour, beliefs."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from optimizer.analysis.book import Book
from optimizer.domain import Request
from optimizer.engine.deciding import Versions, make_decision
from optimizer.errors import MissingExtra
from optimizer.routes import Route

try:
    import polars as pl
except ImportError as missing:  # pragma: no cover - the suite installs every extra
    raise MissingExtra("a notebook's tables", "notebooks") from missing

INCUMBENT, MOST_CHOSEN, OTHER = "incumbent", "most chosen", "other candidate"


def money(book: Book) -> pl.DataFrame:
    """Return a row per use case, the dearest baseline first: calls, paid and saved dollars with 95% limits, share."""
    rows = [
        {
            "use_case": part.use_case,
            "baseline": part.baseline,
            "calls": part.figures.n_calls,
            "paid_usd": part.saving.paid_usd,
            "saved_usd": part.saving.saved_usd,
            "saved_low_usd": part.saving.low_usd,
            "saved_high_usd": part.saving.high_usd,
            "saved_share": part.saving.share,
            "baseline_usd": part.saving.baseline_usd,
        }
        for part in book.report.use_cases
        if part.saving is not None
    ]
    return pl.DataFrame(rows).sort("baseline_usd", descending=True)


def spending(book: Book) -> pl.DataFrame:
    """Return a row per use case and chosen model, the largest sum first: calls, dollars, mean rating."""
    rows = [
        {
            "use_case": part.use_case,
            "model": model.model_id,
            "calls": model.figures.n_calls,
            "cost_usd": model.figures.cost_usd,
            "mean_rating": model.figures.mean_rating,
            "rated": model.figures.n_rated,
        }
        for part in book.report.use_cases
        for model in part.models
    ]
    per_call = (pl.col("cost_usd") / pl.col("calls")).alias("usd_per_call")
    return pl.DataFrame(rows).with_columns(per_call).sort("cost_usd", descending=True, nulls_last=True)


def hours(book: Book) -> pl.DataFrame:
    """Return a row per use case, hour with calls, and model that ever served there: calls, and share of the hour's."""
    served = Counter((o.use_case, o.model_id, _hour(o.decided_at)) for o in book.outcomes)
    totals: Counter[tuple[str, Any]] = Counter()
    models: dict[str, Counter[str]] = {}
    for (use_case, model, hour), n in served.items():
        totals[use_case, hour] += n
        models.setdefault(use_case, Counter())[model] += n
    rows = [
        {"use_case": use_case, "model": model, "hour": hour, "calls": n, "share": n / total}
        for (use_case, hour), total in sorted(totals.items())
        for model, _ in models[use_case].most_common()
        for n in [served[use_case, model, hour]]
    ]
    return pl.DataFrame(rows)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def beliefs(book: Book) -> pl.DataFrame:
    """Return a row per use case and candidate, the cheapest first: what the next call would be decided by.

    Believed quality with its 95% interval, ratings behind it, expected dollars of a call of the use case's mean
    length, the chance to be drawn now, the share of calls served so far, and the quality asked for (`floor`).
    """
    rows = [row for route in book.snapshot.routes.by_use_case.values() for row in _believed(book, route)]
    return pl.DataFrame(rows, infer_schema_length=None).sort("use_case", "usd_per_call", nulls_last=True)


def _believed(book: Book, route: Route) -> Iterator[dict[str, Any]]:
    outcomes = [outcome for outcome in book.outcomes if outcome.use_case == route.name]
    lengths = [outcome.input_tokens for outcome in outcomes if outcome.input_tokens is not None]
    if not lengths:
        return
    tokens = sum(lengths) / len(lengths)
    request = Request(use_case=route.name, context_tokens=round(tokens))
    decision = make_decision(book.snapshot, route, "", request, tokens, Versions(""))
    shares = Counter(outcome.model_id for outcome in outcomes)
    for standing in decision.standings:
        model = standing.candidate.model_id
        yield {
            "use_case": route.name,
            "model": model,
            "role": _role(route, model, shares),
            "quality": standing.expected_quality,
            "low": standing.quality_low,
            "high": standing.quality_high,
            "ratings": standing.n_ratings,
            "usd_per_call": standing.expected_cost_usd,
            "chance": standing.share,
            "served": shares[model] / len(outcomes),
            "floor": _floor(route, decision.by_model[route.incumbent].expected_quality),
        }


def _role(route: Route, model: str, shares: Counter[str]) -> str:
    if model == route.incumbent:
        return INCUMBENT
    return MOST_CHOSEN if shares and model == shares.most_common(1)[0][0] else OTHER


def _floor(route: Route, incumbent_quality: float | None) -> float | None:
    objective = route.objective
    if objective.kind not in ("floor", "average") or objective.amount is None or incumbent_quality is None:
        return None
    return objective.amount * incumbent_quality if objective.relative else objective.amount
