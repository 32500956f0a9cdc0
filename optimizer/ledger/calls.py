"""Read calls back: one with everything known of it, or the latest ones."""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, select

from optimizer.domain import NANO_USD, Attempt, Feedback
from optimizer.errors import UnknownCall
from optimizer.ledger.database import Database
from optimizer.ledger.feedback import ratings_of
from optimizer.ledger.rows import to_attempt, to_selection, to_us
from optimizer.ledger.tables import attempts, calls, decisions, feedback
from optimizer.selection import Decision, Selection

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class StoredCall:
    """One call: how it was decided, what was tried, how it was rated (withdrawn ratings left out)."""

    selection: Selection
    attempts: tuple[Attempt, ...]
    feedback: tuple[Feedback, ...]

    @property
    def served(self) -> Attempt | None:
        """The attempt whose reply the caller got; None where there is none yet."""
        return next((attempt for attempt in self.attempts if attempt.served), None)

    @property
    def failed_over_to(self) -> Attempt | None:
        """The attempt that served, where it was another model or gateway than the one chosen."""
        served = self.served
        if served is None or served.reused is not None:
            return None
        chosen = (self.selection.model_id, self.selection.provider)
        return None if (served.model_id, served.gateway) == chosen else served

    @property
    def overridden_by(self) -> str | None:
        """What kept the model drawn from serving: what overrode the draw, else `failover` where another one served."""
        found, served = self.selection.overridden_by, self.failed_over_to
        if found is None and served is not None and served.model_id != self.selection.model_id:
            return "failover"
        return found

    def explain(self) -> str:
        """Return, in plain words, why its model was chosen, and who served where that was somebody else."""
        served = self.failed_over_to
        return self.selection.explain(stood_in=f"{served.model_id} through {served.gateway}" if served else None)

    @property
    def n_unknown_costs(self) -> int:
        """Attempts of which nobody knows what they cost."""
        return sum(attempt.cost_nano_usd is None and attempt.reused is None for attempt in self.attempts)

    @property
    def known_cost_usd(self) -> float | None:
        """What the attempts of known cost came to, a reused reply at nothing; None where there is none."""
        costs = [0 if attempt.reused else attempt.cost_nano_usd for attempt in self.attempts]
        known = [cost for cost in costs if cost is not None]
        return sum(known) / NANO_USD if known else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types; what is unknown is null."""
        return {
            "selection": self.selection.to_dict(),
            "overridden_by": self.overridden_by,
            "known_cost_usd": self.known_cost_usd,
            "n_unknown_costs": self.n_unknown_costs,
            "attempts": [attempt_dict(attempt) for attempt in self.attempts],
            "ratings": [
                {"metric": r.metric, "rater": r.rater, "value": r.value, "at": r.at.isoformat()} for r in self.feedback
            ],
        }


def attempt_dict(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as plain JSON types, without its call's id; what is unknown is null."""
    facts = asdict(attempt) | {"at": attempt.at.isoformat()}
    del facts["call_id"], facts["cost_nano_usd"]
    cost = attempt.cost_nano_usd
    return facts | {
        "usage": None if attempt.usage is None else attempt.usage.model_dump(),
        "cost_usd": None if cost is None else cost / NANO_USD,
    }


def read_call(database: Database, call_id: str) -> StoredCall:
    """Return one call.

    Raises
    ------
    UnknownCall
        If the ledger has no such call.
    """
    with database.reading() as connection:
        found = _read(connection, [call_id])
    if not found:
        raise UnknownCall(call_id)
    return found[0]


def recent_calls(
    database: Database, *, use_case: str | None = None, since: datetime | None = None, limit: int = 100
) -> list[StoredCall]:
    """Return the latest calls, newest first."""
    query = select(calls.c.call_id).order_by(calls.c.decided_at_us.desc(), calls.c.call_id.desc()).limit(limit)
    if use_case is not None:
        query = query.where(calls.c.use_case == use_case)
    if since is not None:
        query = query.where(calls.c.decided_at_us >= to_us(since))
    with database.reading() as connection:
        wanted = list(connection.scalars(query))
        found = {call.selection.call_id: call for call in _read_all(connection, wanted)}
    return [found[call_id] for call_id in wanted]


def rated_calls(
    database: Database, start: datetime, end: datetime, *, use_cases: Collection[str], limit: int
) -> Iterator[StoredCall]:
    """Yield the latest calls decided in [start, end) that somebody rated, in no order."""
    c = calls.c
    rated = exists().where(feedback.c.call_id == c.call_id, feedback.c.value.is_not(None))
    query = select(c.call_id).where(c.decided_at_us >= to_us(start), c.decided_at_us < to_us(end), rated)
    query = query.where(c.use_case.in_(use_cases)).order_by(c.decided_at_us.desc(), c.call_id.desc()).limit(limit)
    with database.reading() as connection:
        yield from _read_all(connection, list(connection.scalars(query)))


def latest_call_of_session(database: Database, session_id: str, *, tenant: str | None = None) -> str | None:
    """Return the id of a session's latest call, where a tenant is named of that tenant's; None where it has none."""
    query = select(calls.c.call_id).where(calls.c.session_id == session_id)
    if tenant is not None:
        query = query.where(calls.c.tenant == tenant)
    with database.reading() as connection:
        found: str | None = connection.scalar(
            query.order_by(calls.c.decided_at_us.desc(), calls.c.call_id.desc()).limit(1)
        )
    return found


def calls_between(
    database: Database, start: datetime, end: datetime, *, use_case: str | None = None
) -> Iterator[StoredCall]:
    """Yield every call decided in [start, end), in order of time."""
    query = select(calls.c.call_id).where(calls.c.decided_at_us >= to_us(start), calls.c.decided_at_us < to_us(end))
    if use_case is not None:
        query = query.where(calls.c.use_case == use_case)
    with database.reading() as connection:
        wanted = list(connection.scalars(query.order_by(calls.c.decided_at_us, calls.c.call_id)))
        for begin in range(0, len(wanted), _AT_ONCE):
            some = wanted[begin : begin + _AT_ONCE]
            found = {call.selection.call_id: call for call in _read(connection, some)}
            yield from (found[call_id] for call_id in some if call_id in found)


def _read_all(connection: Connection, call_ids: list[str]) -> Iterator[StoredCall]:
    for begin in range(0, len(call_ids), _AT_ONCE):
        yield from _read(connection, call_ids[begin : begin + _AT_ONCE])


def _read(connection: Connection, call_ids: list[str]) -> list[StoredCall]:
    rows = connection.execute(select(calls).where(calls.c.call_id.in_(call_ids))).mappings().all()
    digests = {row["decision_digest"] for row in rows}
    documents = connection.execute(
        select(decisions.c.digest, decisions.c.document_json).where(decisions.c.digest.in_(digests))
    )
    decided = {digest: Decision.parse(document) for digest, document in documents}
    tried: dict[str, list[Attempt]] = {}
    query = select(attempts).where(attempts.c.call_id.in_(call_ids)).order_by(attempts.c.call_id, attempts.c.number)
    for row in connection.execute(query).mappings():
        tried.setdefault(row["call_id"], []).append(to_attempt(row))
    ratings = ratings_of(connection, call_ids)
    return [
        StoredCall(
            to_selection(row, decided[row["decision_digest"]]),
            tuple(tried.get(row["call_id"], ())),
            tuple(r for _, r in sorted(ratings.get(row["call_id"], {}).items()) if r.value is not None),
        )
        for row in rows
    ]
