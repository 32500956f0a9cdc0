"""Does evidence follow from the ledger? Recompute it from calls, attempts and feedback, compare, or replace it."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, select

from optimizer.decision.credit import Tally
from optimizer.decision.evidence import EvidenceKey, Sums, added
from optimizer.ledger.batch import CHUNK, KnownCall, RuleOf, known_calls
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import lock_state, read_state, replace_evidence, stored_evidence
from optimizer.ledger.statements import Statements
from optimizer.ledger.tables import calls


class Difference(NamedTuple):
    """One row of evidence that is not what the ledger says; a row that is missing has zero sums."""

    key: EvidenceKey
    stored: Sums
    expected: Sums


def verify(database: Database, rule_of: RuleOf) -> list[Difference]:
    """Return every row of evidence that differs from the ledger, in key order; exact, and empty when all is well.

    Reads one snapshot, so writers may go on; memory holds the evidence, never the calls.
    """
    with database.reading() as connection:
        expected = _expected(connection, rule_of)
        stored = stored_evidence(connection)
    return [
        Difference(key, stored.get(key, Sums()), expected.get(key, Sums()))
        for key in sorted(stored.keys() | expected.keys())
        if stored.get(key) != expected.get(key)
    ]


def rebuild(database: Database, rule_of: RuleOf) -> int:
    """Replace evidence by what the ledger says and return its number of rows; needed after a change of reward rules.

    Writers wait meanwhile, readers do not, and then load everything anew.
    """
    with database.writing() as connection:
        lock_state(connection, alone=True)
        rows = _expected(connection, rule_of)
        replace_evidence(connection, Statements(connection.dialect), rows)
    return len(rows)


def _expected(connection: Connection, rule_of: RuleOf) -> dict[EvidenceKey, Sums]:
    state = read_state(connection)
    tally = Tally()
    for call in _every_call(connection):
        call.add_to(tally, rule_of)
    return added({state.placed(key): sums} for key, sums in tally.sums().items())


def _every_call(connection: Connection) -> Iterator[KnownCall]:
    query = select(calls.c.call_id).order_by(calls.c.call_id).limit(CHUNK)
    after = ""
    while call_ids := list(connection.scalars(query.where(calls.c.call_id > after))):
        yield from known_calls(connection, call_ids, lock=False).values()
        after = call_ids[-1]
