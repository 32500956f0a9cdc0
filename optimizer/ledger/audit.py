"""Does evidence follow from the ledger? Recompute it from calls, attempts and feedback, compare, or replace it.

Where old calls are deleted, all of this is about the evidence since then.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, select

from optimizer.decision.credit import Tally
from optimizer.decision.evidence import EvidenceKey, Sums, added
from optimizer.ledger.batch import CHUNK, KnownCall, RuleOf, known_calls
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import lock_state, read_state, replace_evidence, stored_evidence
from optimizer.ledger.statements import Statements
from optimizer.ledger.tables import calls

Told = Callable[[int], None]


class Difference(NamedTuple):
    """One row of evidence that is not what the ledger says; a row that is missing has zero sums."""

    key: EvidenceKey
    stored: Sums
    expected: Sums


def _unheard(n_calls: int) -> None:
    """Tell nobody."""


def verify(database: Database, rule_of: RuleOf, *, told: Told = _unheard) -> list[Difference]:
    """Return every row of evidence that differs from the ledger, in key order; exact, and empty when all is well.

    Reads one snapshot, so writers may go on; memory holds the evidence, never the calls. `told` hears how many calls
    were read, now and then.
    """
    with database.reading() as connection:
        kept_from_s = read_state(connection).kept_from_s
        expected = _expected(connection, rule_of, told)
        stored = {key: sums for key, sums in stored_evidence(connection).items() if key.bucket_start_s >= kept_from_s}
    return [
        Difference(key, stored.get(key, Sums()), expected.get(key, Sums()))
        for key in sorted(stored.keys() | expected.keys())
        if stored.get(key) != expected.get(key)
    ]


def rebuild(database: Database, rule_of: RuleOf, *, told: Told = _unheard) -> int:
    """Replace evidence by what the ledger says and return its number of rows; needed after a change of reward rules.

    Writers wait meanwhile, readers do not, and then load everything anew. `told` hears how many calls were read.
    """
    with database.writing() as connection:
        kept_from_s = lock_state(connection, alone=True).kept_from_s
        rows = _expected(connection, rule_of, told)
        replace_evidence(connection, Statements(connection.dialect), rows, from_s=kept_from_s)
    return len(rows)


def _expected(connection: Connection, rule_of: RuleOf, told: Told) -> dict[EvidenceKey, Sums]:
    state = read_state(connection)
    tally = Tally()
    n_read = 0
    for calls_read in _every_call(connection):
        for call in calls_read:
            call.add_to(tally, rule_of)
        n_read += len(calls_read)
        told(n_read)
    placed = added({state.placed(key): sums} for key, sums in tally.sums().items())
    return {key: sums for key, sums in placed.items() if key.bucket_start_s >= state.kept_from_s}


def _every_call(connection: Connection) -> Iterator[list[KnownCall]]:
    query = select(calls.c.call_id).order_by(calls.c.call_id).limit(CHUNK)
    after = ""
    while call_ids := list(connection.scalars(query.where(calls.c.call_id > after))):
        yield list(known_calls(connection, call_ids, lock=False).values())
        after = call_ids[-1]
