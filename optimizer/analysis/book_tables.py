"""What a ledger's book has beside its figures' tables: what was spent on whom, as a polars frame."""

from optimizer.analysis.book import Book
from optimizer.errors import MissingExtra

try:
    import polars as pl
except ImportError as missing:  # pragma: no cover - the suite installs every extra
    raise MissingExtra("a notebook's tables", "notebooks") from missing


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
