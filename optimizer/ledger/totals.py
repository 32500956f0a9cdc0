"""What a report adds up: calls, spend, tokens, ratings and latency per use case and chosen model, between two times."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, case, cast, func, select

from optimizer.decision.credit import JUDGE, percentile_ms
from optimizer.decision.evidence import LATENCY
from optimizer.ledger.database import Database
from optimizer.ledger.rows import to_us
from optimizer.ledger.tables import attempts, calls, evidence, feedback

Cell = tuple[str, str]  # use case, chosen model

_SUMS = ("cost_nano_usd", "input_tokens", "cached_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class MeanRating:
    """Calls rated on one metric and their mean, people before judges, before gates."""

    n_calls: int
    mean: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the calls that one use case gave to one model; unknown costs are counted, never added as 0.

    `n_known_costs` and `n_unknown_costs` count attempts, failed ones too: those cost as well. Replies that are another
    call's cost nothing, whatever their attempts say, and are counted apart, as `n_reused`; their tokens, which nobody
    charged, are in no sum.
    """

    use_case: str
    model_id: str
    n_calls: int = 0
    n_served: int = 0  # by whichever model
    n_failed_attempts: int = 0
    n_known_costs: int = 0
    n_unknown_costs: int = 0
    n_reused: int = 0
    n_failovers: int = 0  # calls that another model served than the one chosen
    cost_nano_usd: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    ratings: dict[str, MeanRating] = field(default_factory=dict)  # by metric


def count_calls(database: Database, *, tags: Mapping[str, str] | None = None) -> int:
    """Return how many calls the ledger holds, or how many of them have exactly these tags."""
    query = select(func.count()).select_from(calls)
    if tags is not None:
        query = query.where(calls.c.tags_json == json.dumps(sorted(tags.items())))
    with database.reading() as connection:
        return connection.scalar(query) or 0


def totals_between(database: Database, start: datetime, end: datetime, *, use_case: str | None = None) -> list[Totals]:
    """Return the totals of calls decided in [start, end), most calls first within a use case."""
    with database.reading() as connection:
        counts = {(row.use_case, row.model_id): row._asdict() for row in connection.execute(_counts(start, end))}
        spent = {(row.use_case, row.model_id): row._asdict() for row in connection.execute(_spent(start, end))}
        ratings = _ratings(connection, start, end)
    found = [
        Totals(**(counts[cell] | spent.get(cell, {})), ratings=ratings.get(cell, {}))
        for cell in counts
        if use_case in (None, cell[0])
    ]
    return sorted(found, key=lambda totals: (totals.use_case, -totals.n_calls, totals.model_id))


def latency_percentiles(
    database: Database, start: datetime, end: datetime, shares: tuple[float, ...] = (0.5, 0.95)
) -> dict[Cell, tuple[float | None, ...]]:
    """Return (use case, model that served) → latency in ms at each share, from the bins of evidence.

    Buckets count where they begin in [start, end): to 15 minutes for the last day, to the hour or day before.
    """
    c = evidence.c
    query = (
        select(c.use_case, c.model_id, c.measure, func.sum(c.n).label("n"))
        .where(c.measure.startswith(LATENCY), c.bucket_start_s >= to_us(start) // 1_000_000)
        .where(c.bucket_start_s * 1_000_000 < to_us(end))
        .group_by(c.use_case, c.model_id, c.measure)
    )
    bins: dict[Cell, dict[int, float]] = defaultdict(dict)
    with database.reading() as connection:
        for use_case, model_id, measure, n in connection.execute(query):
            bins[use_case, model_id][int(measure.removeprefix(LATENCY))] = float(n)
    return {cell: tuple(percentile_ms(counts, share) for share in shares) for cell, counts in bins.items()}


def _within(query: Select[Any], start: datetime, end: datetime) -> Select[Any]:
    return query.where(calls.c.decided_at_us >= to_us(start), calls.c.decided_at_us < to_us(end))


def _counts(start: datetime, end: datetime) -> Select[Any]:
    query = select(calls.c.use_case, calls.c.model_id, func.count().label("n_calls"))
    return _within(query, start, end).group_by(calls.c.use_case, calls.c.model_id)


def _spent(start: datetime, end: datetime) -> Select[Any]:
    c = attempts.c
    charged = c.reused.is_(None)
    query = select(
        calls.c.use_case,
        calls.c.model_id,
        func.count(case((c.served.is_(True), 1))).label("n_served"),
        func.count(c.error_kind).label("n_failed_attempts"),
        func.count(case((charged, c.cost_nano_usd))).label("n_known_costs"),
        func.count(case((charged & c.cost_nano_usd.is_(None), 1))).label("n_unknown_costs"),
        func.count(c.reused).label("n_reused"),
        func.count(case((charged & c.served.is_(True) & (c.model_id != calls.c.model_id), 1))).label("n_failovers"),
        *(_total(case((charged, c[name]))).label(name) for name in _SUMS),
    ).join_from(calls, attempts, calls.c.call_id == c.call_id)
    return _within(query, start, end).group_by(calls.c.use_case, calls.c.model_id)


def _total(column: Any) -> Any:  # noqa: ANN401 - an SQL expression
    return cast(func.coalesce(func.sum(column), 0), BigInteger)  # Postgres would return a decimal number


def _ratings(connection: Connection, start: datetime, end: datetime) -> dict[Cell, dict[str, MeanRating]]:
    f = feedback.c
    people = func.avg(case((f.rater.startswith(JUDGE), None), else_=f.value))
    per_call = _within(
        select(calls.c.use_case, calls.c.model_id, f.metric, func.coalesce(people, func.avg(f.value)).label("rating"))
        .join_from(calls, feedback, calls.c.call_id == f.call_id)
        .where(f.value.is_not(None)),
        start,
        end,
    )
    each = per_call.group_by(calls.c.call_id, calls.c.use_case, calls.c.model_id, f.metric).subquery()
    query = select(each.c.use_case, each.c.model_id, each.c.metric, func.count(), func.avg(each.c.rating))
    found: dict[Cell, dict[str, MeanRating]] = defaultdict(dict)
    for use_case, model_id, metric, n, mean in connection.execute(
        query.group_by(each.c.use_case, each.c.model_id, each.c.metric)
    ):
        found[use_case, model_id][metric] = MeanRating(n, float(mean))
    return found
