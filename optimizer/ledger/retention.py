"""Calls that are older than they shall be kept go, with their attempts and ratings; what they taught stays.

Evidence is sums, and says nothing about anybody. `evidence_state` remembers the day from which on calls are kept: the
sums of earlier days cannot be recomputed any more, so `verify` passes them over and `rebuild` leaves them as they are.
That day is moved on first, in a transaction of its own; so it does not matter where the deleting was broken off.
"""

from datetime import datetime

from sqlalchemy import delete, exists, select, update

from optimizer.decision.evidence import DAY_S
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import lock_state
from optimizer.ledger.rows import to_us
from optimizer.ledger.tables import attempts, calls, evidence_state, feedback, sessions

BATCH = 500  # calls that go in one transaction: writers wait for no more


def forget_calls(database: Database, before: datetime, *, most: int) -> int:
    """Delete calls of whole days (UTC) before a time, the oldest first, and return how many; `most` at a time.

    Their sessions go with the last of their calls. Of two processes that do this at once, each does a part.
    """
    day_s = to_us(before) // 1_000_000 // DAY_S * DAY_S
    with database.writing() as connection:
        if lock_state(connection, alone=True).kept_from_s < day_s:
            connection.execute(update(evidence_state).values(kept_from_s=day_s))
    n_gone = 0
    while n_gone < most and (n := _forget_some(database, day_s * 1_000_000, min(BATCH, most - n_gone))):
        n_gone += n
    return n_gone


def _forget_some(database: Database, before_us: int, most: int) -> int:
    c = calls.c
    old = select(c.call_id).where(c.decided_at_us < before_us).order_by(c.decided_at_us).limit(most).with_for_update()
    with database.writing() as connection:
        call_ids = list(connection.scalars(old))
        for table in (feedback, attempts, calls):
            connection.execute(delete(table).where(table.c.call_id.in_(call_ids)))
        if len(call_ids) < most:
            begun = sessions.c.at_us < before_us
            in_use = exists().where(c.session_id == sessions.c.session_id, c.use_case == sessions.c.use_case)
            connection.execute(delete(sessions).where(begun, ~in_use))
    return len(call_ids)
