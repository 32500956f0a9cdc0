"""Whatever the order of facts, their split into batches and into writers: the same evidence, to the last unit."""

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from optimizer.decision.evidence import EvidenceKey, Sums
from optimizer.ledger.audit import rebuild, verify
from optimizer.ledger.batch import Fact
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader, roll_up, stored_evidence
from optimizer.ledger.tables import attempts, calls, evidence, feedback
from optimizer.ledger.writer import Writer
from tests.ledger.factory import NOON, make_attempt, make_rating, make_selection, rule_of

NAMES = ("a", "b", "c")
# One moment per rating: of two at the same moment the last to arrive stands, which is an order.
RATINGS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.none() | st.integers(0, 10).map(lambda tenths: tenths / 10),
        st.sampled_from(("quality", "valid")),
        st.sampled_from(("ann", "bob", "judge:strict")),
    ),
    max_size=12,
)
ATTEMPTS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 2), st.sampled_from(("small", "large")), st.booleans()),
    max_size=6,
    unique_by=lambda drawn: drawn[:2],
)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Fact], list[Fact]]:
    """Return facts about three calls hours apart, in two orders; repeats included."""
    facts: list[Fact] = [
        make_rating(name, value, metric=metric, rater=rater, minute=minute)
        for minute, (name, value, metric, rater) in enumerate(draw(RATINGS))
    ]
    facts += [make_attempt(name, number=n, model_id=model, failed=bad) for name, n, model, bad in draw(ATTEMPTS)]
    facts += draw(st.lists(st.sampled_from(facts), max_size=3)) if facts else []
    return draw(st.permutations(facts)), draw(st.permutations(facts))


def empty(database: Database) -> None:
    with database.writing() as connection:
        for table in (attempts, feedback, calls, evidence):
            connection.execute(delete(table))


def write(database: Database, facts: Sequence[Fact], cuts: set[int], n_writers: int) -> dict[EvidenceKey, Sums]:
    """Write facts, a commit at each cut, by writers in turn; return the evidence."""
    writers = [Writer(database, rule_of) for _ in range(n_writers)]
    for number, name in enumerate(NAMES):
        writers[0].submit(make_selection(name, at=NOON + timedelta(hours=number)))
    writers[0].flush()
    for number, fact in enumerate(facts):
        writer = writers[number % n_writers]
        writer.submit(fact)
        if number in cuts:
            writer.flush()
    for writer in writers:
        writer.close()
    with database.reading() as connection:
        return stored_evidence(connection)


@FEW
@given(histories(), st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_order_batches_and_writers_do_not_matter(
    database: Database, history: tuple[list[Fact], list[Fact]], cuts: set[int], other_cuts: set[int]
) -> None:
    one_order, another = history
    empty(database)
    once = write(database, one_order, cuts, n_writers=1)
    assert verify(database, rule_of) == []
    rebuild(database, rule_of)
    with database.reading() as connection:
        assert stored_evidence(connection) == once
    empty(database)
    assert write(database, another, other_cuts, n_writers=2) == once


@FEW
@given(histories(), st.sampled_from((1, 2, 29, 32, 60)))
def test_rolling_up_in_the_middle_keeps_evidence_exact(
    database: Database, history: tuple[list[Fact], list[Fact]], days: int
) -> None:
    """Horizons only move on, so the later examples begin rolled up; that must not matter either."""
    facts = history[0]
    empty(database)
    reader = EvidenceReader(database)
    write(database, facts[: len(facts) // 2], set(), n_writers=1)
    reader.refresh()
    roll_up(database, NOON + timedelta(days=days))
    write(database, facts, set(), n_writers=2)
    assert verify(database, rule_of) == []
    reader.refresh()
    with database.reading() as connection:
        assert reader.rows == stored_evidence(connection)
