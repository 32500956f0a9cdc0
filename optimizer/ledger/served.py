"""Served calls as arrays, read in bulk: what reports compute from where calls are too many for an object each."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add, ne
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Select, case, select

from optimizer.decision.belief import BoolArray, FloatArray, IntArray
from optimizer.domain import NANO_USD
from optimizer.ledger.database import Database, in_batches, no_garbage
from optimizer.ledger.rows import to_us
from optimizer.ledger.tables import attempts, calls

DRAWN, IN_SESSION, OTHERWISE = 0, 1, 2  # what settled who serves: the call's own draw, its session's, something else

Told = Callable[[int], None]

_BATCH = 20_000
_Column = Sequence[Any]


def unheard(_n: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, eq=False)
class Served:
    """Calls of one use case that were served by a reply of their own, in order of time; NaN is unknown.

    Attributes
    ----------
    models, digests : sequence of str
        What the codes in `model` and `drawn`, and those in `decision`, stand for.
    at_us : ndarray of int, shape (n_calls,)
        When each call was decided, microseconds since the epoch.
    model, drawn, decision : ndarray of int
        Who served, who was drawn, and by which decision.
    session : ndarray of int
        A number for each session, -1 for calls without one; the same in all use cases.
    settled : ndarray of int
        `DRAWN`, `IN_SESSION` or `OTHERWISE`.
    paid_usd : ndarray
        Of all attempts, failed ones too; unknown if that of any is.
    """

    use_case: str
    models: Sequence[str]
    digests: Sequence[str]
    at_us: IntArray
    model: IntArray
    drawn: IntArray
    decision: IntArray
    session: IntArray
    settled: IntArray
    held_out: BoolArray
    input_tokens: FloatArray
    cached_tokens: FloatArray
    output_tokens: FloatArray
    reasoning_tokens: FloatArray
    latency_ms: FloatArray
    paid_usd: FloatArray


def served_between(
    database: Database,
    start: datetime,
    end: datetime,
    *,
    use_case: str | None = None,
    told: Told = unheard,
    at_once: int = _BATCH,
) -> dict[str, Served]:
    """Return use case → its served calls decided in [start, end), in the order of the use cases' first calls.

    Calls that got another call's reply are left out: whoever had been chosen, they would have cost nothing. `told`
    hears how many calls were read, now and then. Memory holds some 80 bytes a call.
    """
    codes = _Codes()
    parts: dict[int, list[tuple[npt.NDArray[Any], ...]]] = defaultdict(list)
    n_read = 0
    with no_garbage():
        for rows in _whole_calls(database, _query(start, end, use_case), at_once):
            use_cases, columns = _arrays(rows, codes)
            for code in np.unique(use_cases).tolist():
                mine = use_cases == code
                parts[code].append(tuple(column[mine] for column in columns))
            n_read += use_cases.size
            told(n_read)
    names, models, digests = codes.use_cases.names, codes.models.names, codes.digests.names
    found: dict[str, Served] = {}
    for code in sorted(parts, key=lambda code: int(parts[code][0][0][0])):
        whole = (np.concatenate(column) for column in zip(*parts.pop(code), strict=True))
        found[names[code]] = Served(names[code], models, digests, *whole)
    return found


class _Numbers(dict[str | None, int]):
    """Name → number, from 0 in the order in which names are first asked for; no name is -1."""

    def __init__(self) -> None:
        super().__init__({None: -1})

    def __missing__(self, name: str) -> int:
        self[name] = number = len(self) - 1
        return number

    @property
    def names(self) -> list[str]:
        return [name for name in self if name is not None]

    def of(self, names: _Column) -> IntArray:
        return np.fromiter(map(self.__getitem__, names), np.int32, len(names))


class _Codes:
    """Numbers of all names met so far."""

    def __init__(self) -> None:
        self.use_cases, self.models, self.digests, self.sessions = _Numbers(), _Numbers(), _Numbers(), _Numbers()
        self.overrides = _Numbers()
        self.overrides.of(("session",))


def _query(start: datetime, end: datetime, use_case: str | None) -> Select[Any]:
    c, a = calls.c, attempts.c
    query = (
        select(
            c.call_id,
            c.use_case,
            c.decided_at_us,
            c.drawn_model_id,
            c.decision_digest,
            c.session_id,
            c.overridden_by,
            a.model_id,
            _flags(c.propensity.is_not(None), c.held_out.is_(True), a.served.is_(True), a.reused.is_(None)),
            a.cost_nano_usd,
            a.input_tokens,
            a.cached_tokens,
            a.output_tokens,
            a.reasoning_tokens,
            a.latency_ms,
        )
        .join_from(calls, attempts, c.call_id == a.call_id)
        .where(c.decided_at_us >= to_us(start), c.decided_at_us < to_us(end))
    )
    if use_case is not None:
        query = query.where(c.use_case == use_case)
    return query.order_by(c.decided_at_us, c.call_id, a.number)


def _flags(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    """Return conditions as bits of one number: every column that is read takes its time."""
    return reduce(add, (case((condition, 1 << i), else_=0) for i, condition in enumerate(conditions)))


def _whole_calls(database: Database, query: Select[Any], at_once: int) -> Iterator[list[_Column]]:
    """Yield rows in batches that no call's attempts are divided by."""
    kept: list[_Column] = []
    with database.reading() as connection:
        for more in in_batches(connection, query, at_once):
            rows = [*kept, *more]
            cut = len(rows) - 1
            while cut > 0 and rows[cut - 1][0] == rows[-1][0]:
                cut -= 1
            kept = rows[cut:]
            if cut:
                yield rows[:cut]
    if kept:
        yield kept


def _arrays(rows: list[_Column], codes: _Codes) -> tuple[IntArray, tuple[npt.NDArray[Any], ...]]:
    """Return the use cases' codes and the columns of `Served` of the calls whose attempts these are."""
    ids, use_case, at_us, drawn, digest, session, override, model, flags, cost, *facts = zip(*rows, strict=True)
    n = len(ids)
    begins = np.flatnonzero(np.fromiter(map(ne, ids, (None, *ids[:-1])), np.bool_, n))
    bits = np.array(flags, dtype=np.int8)
    drawn_by, held_out, served, own = (bits & (1 << i) > 0 for i in range(4))
    number = np.where(own & served, np.arange(n), n)
    at = np.minimum.reduceat(number, begins)
    paid_usd = np.add.reduceat(np.where(own, _floats(cost), 0.0), begins) / NANO_USD  # a sum with NaN is NaN
    paid_usd, at = paid_usd[at < n], at[at < n]
    columns = (
        np.array(at_us, dtype=np.int64),
        codes.models.of(model),
        codes.models.of(drawn),
        codes.digests.of(digest),
        codes.sessions.of(session),
        _settled(codes.overrides.of(override), drawn_by),
        held_out,
        *map(_floats, facts),
    )
    return codes.use_cases.of(use_case)[at], (*(column[at] for column in columns), paid_usd)


def _floats(column: _Column) -> FloatArray:
    return np.array(column, dtype=np.float64)  # None becomes NaN


def _settled(override: IntArray, drawn: BoolArray) -> IntArray:
    return np.where((override == -1) & drawn, DRAWN, np.where(override == 0, IN_SESSION, OTHERWISE)).astype(np.int8)
