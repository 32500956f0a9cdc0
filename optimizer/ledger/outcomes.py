"""What came of calls, one by one, for reports that need more than sums: read in batches, however many they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Select, case, cast, func, select

from optimizer.domain import NANO_USD
from optimizer.ledger.database import Database
from optimizer.ledger.rows import to_datetime, to_us
from optimizer.ledger.tables import attempts, calls, decisions
from optimizer.selection import Decision

_BATCH = 2_000
_DECISIONS = 200  # documents in memory


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call that was served by a reply of its own, and what is known of that; None is unknown.

    Attributes
    ----------
    model_id : str
        Who served.
    paid_usd : float or None
        Of all attempts, failed ones too; unknown if that of any is.
    drawn_model_id, propensity, overridden_by : str, float or None, str or None
        As in a selection.
    digest : str
        Of the decision: see `draws`.
    """

    use_case: str
    model_id: str
    decided_at: datetime
    session_id: str | None
    held_out: bool
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    latency_ms: float | None
    paid_usd: float | None
    call_id: str = ""
    drawn_model_id: str = ""
    propensity: float | None = None
    overridden_by: str | None = None
    digest: str = ""
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ObservedChoices:
    """Calls of observe mode that share a decision and a session: who served, and who was drawn but did not serve."""

    decision: Decision
    model_id: str
    drawn_model_id: str
    n_calls: int
    session_id: str | None = None


def outcomes_between(
    database: Database, start: datetime, end: datetime, *, use_case: str | None = None
) -> Iterator[Outcome]:
    """Yield every served call decided in [start, end), in order of time.

    Calls that got another call's reply are left out: whoever had been chosen, they would have cost nothing.
    """
    with database.reading() as connection:
        rows = connection.execution_options(yield_per=_BATCH).execute(_served(start, end, use_case))
        for name, model_id, at_us, session, held_out, n_input, n_cached, n_output, ms, nano_usd, *draw in rows:
            paid = None if nano_usd is None else nano_usd / NANO_USD
            at = to_datetime(at_us)
            yield Outcome(name, model_id, at, session, held_out, n_input, n_cached, n_output, ms, paid, *draw)


def observed_between(
    database: Database, start: datetime, end: datetime, *, use_case: str | None = None
) -> Iterator[ObservedChoices]:
    """Yield what observe mode noted of calls decided in [start, end)."""
    c = calls.c
    query = select(c.decision_digest, c.model_id, c.drawn_model_id, c.session_id, func.count())
    query = _within(query.where(c.overridden_by == "observe"), start, end, use_case)
    query = query.group_by(c.decision_digest, c.model_id, c.drawn_model_id, c.session_id).order_by(c.decision_digest)
    with database.reading() as connection:
        rows = connection.execute(query).all()
        for begin in range(0, len(rows), _DECISIONS):
            some = rows[begin : begin + _DECISIONS]
            wanted = {row[0] for row in some}
            found = connection.execute(
                select(decisions.c.digest, decisions.c.document_json).where(decisions.c.digest.in_(wanted))
            )
            decided = {digest: Decision.parse(document) for digest, document in found}
            for digest, model_id, drawn_model_id, session_id, n_calls in some:
                yield ObservedChoices(decided[digest], model_id, drawn_model_id, n_calls, session_id)


def _served(start: datetime, end: datetime, use_case: str | None) -> Select[Any]:
    c, a = calls.c, attempts.c
    charged = a.reused.is_(None)
    unknown = func.count(case((charged & a.cost_nano_usd.is_(None), 1))) > 0
    cost = case((charged, a.cost_nano_usd))
    tried = (
        _within(
            select(
                a.call_id,
                func.min(case((charged & a.served.is_(True), a.number))).label("served"),
                case((unknown, None), else_=cast(func.sum(cost), BigInteger)).label("paid_nano_usd"),
            ).join_from(attempts, calls, a.call_id == c.call_id),
            start,
            end,
            use_case,
        )
        .group_by(a.call_id)
        .subquery()
    )
    query = (
        select(
            c.use_case,
            a.model_id,
            c.decided_at_us,
            c.session_id,
            c.held_out,
            a.input_tokens,
            a.cached_tokens,
            a.output_tokens,
            a.latency_ms,
            tried.c.paid_nano_usd,
            c.call_id,
            c.drawn_model_id,
            c.propensity,
            c.overridden_by,
            c.decision_digest,
            a.reasoning_tokens,
        )
        .join_from(calls, tried, c.call_id == tried.c.call_id)
        .join(attempts, (a.call_id == c.call_id) & (a.number == tried.c.served))
    )
    return _within(query, start, end, use_case).order_by(c.decided_at_us, c.call_id)


def _within(query: Select[Any], start: datetime, end: datetime, use_case: str | None) -> Select[Any]:
    query = query.where(calls.c.decided_at_us >= to_us(start), calls.c.decided_at_us < to_us(end))
    return query if use_case is None else query.where(calls.c.use_case == use_case)
