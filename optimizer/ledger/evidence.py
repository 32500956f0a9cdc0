"""Evidence at rest: add differences, read what changed, roll old buckets up.

Which row a call belongs to follows from its time and from `evidence_state` alone: 15 minutes, an hour or a day wide,
by two horizons that only roll-up moves. A difference that comes late is added to the row that covers its call's time
in the width kept by then, so evidence is at every moment a function of the ledger and the horizons, and `verify` can
be exact. Writers share a lock that roll-up and rebuilding hold alone, so no difference falls between two widths.

A row whose sums have come back to zero stays until roll-up, for readers to see that it changed; it means nothing.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    cast,
    delete,
    func,
    literal,
    literal_column,
    not_,
    select,
    text,
    update,
)

from optimizer.decision.evidence import DAY_S, HOUR_S, EvidenceKey, Sums, added
from optimizer.ledger.database import Database, in_batches, no_garbage
from optimizer.ledger.rows import to_us
from optimizer.ledger.statements import Statements, insert_into
from optimizer.ledger.tables import evidence, evidence_state, now_us

FINE_KEPT_S = DAY_S  # how long rows of 15 minutes are kept,
HOURS_KEPT_S = 30 * DAY_S  # and rows of an hour

OVERLAP_S = 10.0  # how far a reader looks back behind its last look: transactions commit later than they stamp
_SLOW_S = OVERLAP_S / 2  # a writer this slow between stamp and commit raises the epoch, and nobody misses its rows
_ADVISORY_KEY = 0x6F7263_68_02


class EvidenceState(NamedTuple):
    """The one row of `evidence_state`: two horizons of widths, and the one of the calls that are kept."""

    epoch: int
    hours_before_s: int
    days_before_s: int
    kept_from_s: int

    def placed(self, key: EvidenceKey) -> EvidenceKey:
        """Return the key of the row that covers a fine bucket now."""
        start = key.bucket_start_s
        if start >= self.hours_before_s:
            return key
        width = DAY_S if start < self.days_before_s else HOUR_S
        return key._replace(bucket_start_s=start - start % width, bucket_width_s=width)


def lock_state(connection: Connection, *, alone: bool = False) -> EvidenceState:
    """Hold the buckets' widths still until the transaction ends, or, `alone`, all other writers; return the state."""
    if connection.dialect.name != "sqlite":  # there, a write transaction is alone anyway
        lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        connection.execute(text(f"SELECT {lock}(:key)"), {"key": _ADVISORY_KEY})
    return read_state(connection)


def read_state(connection: Connection) -> EvidenceState:
    """Return the epoch and the horizons."""
    columns = evidence_state.c
    return EvidenceState(*connection.execute(select(*(columns[name] for name in EvidenceState._fields))).one())


def add_differences(
    connection: Connection, statements: Statements, state: EvidenceState, differences: Mapping[EvidenceKey, Sums]
) -> None:
    """Add to evidence, in key order; the last thing that a transaction does, so that its stamps are fresh."""
    started = time.monotonic()
    _add_rows(connection, statements, _placed(state, differences))
    # Locks of other writers may have been waited for in between.
    if time.monotonic() - started > _SLOW_S:
        raise_epoch(connection)


def _placed(state: EvidenceState, sums: Mapping[EvidenceKey, Sums]) -> Mapping[EvidenceKey, Sums]:
    if all(key.bucket_start_s >= state.hours_before_s for key in sums):
        return sums
    return added({state.placed(key): value} for key, value in sums.items())


def _add_rows(connection: Connection, statements: Statements, rows: Mapping[EvidenceKey, Sums]) -> None:
    now = connection.scalar(select(now_us(connection.dialect)))
    statements.evidence.run(connection, [(*key, *sums, now) for key, sums in sorted(rows.items())])


def raise_epoch(connection: Connection) -> None:
    """Tell every reader to load everything anew."""
    connection.execute(update(evidence_state).values(epoch=evidence_state.c.epoch + 1))


def read_evidence(database: Database, *, without: Sequence[str] = ()) -> dict[EvidenceKey, Sums]:
    """Return all rows that mean something, once; `without` those whose measures begin so, such as bins of latency."""
    with database.reading() as connection:
        return stored_evidence(connection, without=without)


def stored_evidence(connection: Connection, *, without: Sequence[str] = ()) -> dict[EvidenceKey, Sums]:
    """Return all rows that mean something."""
    left_out = [not_(evidence.c.measure.startswith(name)) for name in without]
    batches = in_batches(connection, _ROWS.where(*left_out), _BATCH)
    with no_garbage():
        return {EvidenceKey(*row[:6]): Sums(*row[6:]) for rows in batches for row in rows if any(row[6:])}


_BATCH = 10_000
_ROWS = select(*(evidence.c[name] for name in (*EvidenceKey._fields, *Sums._fields)))


class EvidenceReader:
    """The evidence as one process knows it; `refresh` brings it up to date.

    Attributes
    ----------
    rows : dict
        Replaced, never changed in place, so another thread may go on reading the one it holds.
    changed : dict or None
        What the last refresh read, with sums of nothing where a row went; None where it read everything anew.
    """

    def __init__(self, database: Database) -> None:
        self.rows: dict[EvidenceKey, Sums] = {}
        self.changed: dict[EvidenceKey, Sums] | None = None
        self._database = database
        self._epoch: int | None = None
        self._seen_until_us = 0

    def refresh(self) -> bool:
        """Read what has changed since the last time, all of it in a new epoch; return whether any value is new."""
        with self._database.reading() as connection:
            state = read_state(connection)
            now = connection.scalar(select(now_us(connection.dialect))) or 0
            # A clock that was set back may have stamped rows before what was seen.
            whole = state.epoch != self._epoch or now < self._seen_until_us
            changed = None if whole else self._changes(connection)
            rows = stored_evidence(connection) if changed is None else self._with(changed)
        news = rows != self.rows
        if news:
            self.rows = rows
        self.changed = changed
        self._epoch, self._seen_until_us = state.epoch, now
        return news

    def _changes(self, connection: Connection) -> dict[EvidenceKey, Sums]:
        since = self._seen_until_us - int(OVERLAP_S * 1e6)
        changed = connection.execute(_ROWS.where(evidence.c.changed_at_us >= since))
        return {EvidenceKey(*row[:6]): Sums(*row[6:]) for row in changed}

    def _with(self, changed: Mapping[EvidenceKey, Sums]) -> dict[EvidenceKey, Sums]:
        rows = dict(self.rows)
        for key, sums in changed.items():
            if sums == Sums():
                rows.pop(key, None)
            else:
                rows[key] = sums
        return rows


def roll_up(database: Database, now: datetime) -> int:
    """Turn rows of 15 minutes older than a day into hours, and hours older than a month (30 days) into days.

    Returns
    -------
    int
        Rows that went into wider ones. If any did, the epoch is raised in the same transaction.
    """
    now_s = to_us(now) // 1_000_000
    with database.writing() as connection:
        before = lock_state(connection, alone=True)
        hours_before = max(before.hours_before_s, _floor(now_s - FINE_KEPT_S, HOUR_S))
        days_before = max(before.days_before_s, _floor(now_s - HOURS_KEPT_S, DAY_S))
        if (hours_before, days_before) == (before.hours_before_s, before.days_before_s):
            return 0
        # Straight into days, so that facts which slept for more than a month take one step too.
        moved = _widen(connection, DAY_S, days_before) + _widen(connection, HOUR_S, hours_before)
        connection.execute(update(evidence_state).values(hours_before_s=hours_before, days_before_s=days_before))
        if moved:
            raise_epoch(connection)
        return moved


def _floor(second: int, width: int) -> int:
    return second - second % width


def _widen(connection: Connection, width: int, before_s: int) -> int:
    """Replace rows narrower than `width` that begin before `before_s` by rows of that width; return how many went."""
    c = evidence.c
    narrow = (c.bucket_width_s < width) & (c.bucket_start_s < before_s)
    # Written out: Postgres would not see that two parameters, selected and grouped by, are the same number.
    start = c.bucket_start_s - c.bucket_start_s % literal_column(str(width), BigInteger)
    sums = [cast(func.sum(column), BigInteger) for column in (c.n, c.total, c.square)]
    cell = [c.use_case, c.segment, c.model_id, c.measure]
    wide = select(*cell, start, literal(width), *sums, now_us(connection.dialect)).where(narrow).group_by(*cell, start)
    insert = insert_into(evidence, connection.dialect)
    connection.execute(
        insert.from_select([column.name for column in c], wide).on_conflict_do_update(
            index_elements=list(evidence.primary_key),
            set_={name: c[name] + insert.excluded[name] for name in ("n", "total", "square")},
        )
    )
    return connection.execute(delete(evidence).where(narrow)).rowcount


def replace_evidence(
    connection: Connection, statements: Statements, rows: Mapping[EvidenceKey, Sums], *, from_s: int
) -> None:
    """Put these rows, already in their widths, in the place of all others of their time, and raise the epoch."""
    connection.execute(delete(evidence).where(evidence.c.bucket_start_s >= from_s))
    _add_rows(connection, statements, rows)
    raise_epoch(connection)
