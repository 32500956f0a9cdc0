"""Ratings: repeated, corrected, withdrawn, late, early, by several raters."""

import pytest

from optimizer.decision.evidence import FAILURE, QUALITY, Sums
from optimizer.ledger.audit import verify
from optimizer.ledger.calls import read_call
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader
from optimizer.ledger.writer import Writer
from tests.ledger.factory import CALL, CALLS_OF_1200_TOKENS, make_attempt, make_rating, make_selection, rule_of


@pytest.fixture
def rated(database: Database, writer: Writer) -> Writer:
    """A writer of a ledger with one call, rated 0.8."""
    writer.submit(make_selection("a"), make_attempt("a"), make_rating("a", 0.8)).result()
    return writer


def quality(database: Database, metric: str = "quality") -> Sums:
    """Return all there is of one metric, and check that it follows from the ledger."""
    assert verify(database, rule_of) == []
    reader = EvidenceReader(database)
    reader.refresh()
    found = [sums for key, sums in reader.rows.items() if key.measure == QUALITY + metric]
    return found[0] if found else Sums()


def test_a_rating_counts_once(database: Database, rated: Writer) -> None:
    """0.8 is 8,000 in 10⁻⁴, its square 64,000,000 in 10⁻⁸."""
    assert quality(database) == Sums(1, 8_000, 64_000_000)
    rated.submit(make_rating("a", 0.8, minute=11)).result()
    assert quality(database) == Sums(1, 8_000, 64_000_000)


def test_a_changed_rating_replaces(database: Database, rated: Writer) -> None:
    rated.submit(make_rating("a", 0.5, minute=11)).result()
    assert quality(database) == Sums(1, 5_000, 25_000_000)


def test_a_changed_rating_at_the_same_moment_replaces(database: Database, rated: Writer) -> None:
    rated.submit(make_rating("a", 0.5)).result()
    assert quality(database) == Sums(1, 5_000, 25_000_000)


def test_an_older_rating_that_arrives_later_changes_nothing(database: Database, rated: Writer) -> None:
    rated.submit(make_rating("a", 0.5, minute=9)).result()
    assert quality(database) == Sums(1, 8_000, 64_000_000)


def test_a_withdrawn_rating_is_gone_and_may_come_back(database: Database, rated: Writer) -> None:
    rated.submit(make_rating("a", None, minute=11)).result()
    assert quality(database) == Sums()
    assert read_call(database, "a").feedback == ()
    rated.submit(make_rating("a", 0.5, minute=9)).result()
    assert quality(database) == Sums()
    rated.submit(make_rating("a", 1.0, minute=12)).result()
    assert quality(database) == Sums(1, 10_000, 100_000_000)


def test_a_second_rater_is_averaged_in(database: Database, rated: Writer) -> None:
    """Mean of 0.8 and 0.3 is 0.55: one rated call, 5,500 in 10⁻⁴."""
    rated.submit(make_rating("a", 0.3, rater="bob")).result()
    assert quality(database) == Sums(1, 5_500, 30_250_000)


def test_people_come_before_judges(database: Database, rated: Writer) -> None:
    rated.submit(make_rating("a", 0.1, rater="judge:strict")).result()
    assert quality(database) == Sums(1, 8_000, 64_000_000)
    rated.submit(make_rating("a", None, minute=11)).result()
    assert quality(database) == Sums(1, 1_000, 1_000_000)


def test_a_failed_gate_makes_the_quality_zero_and_passing_it_later_restores_it(
    database: Database, rated: Writer
) -> None:
    rated.submit(make_rating("a", 0.0, metric="valid", rater="schema")).result()
    assert quality(database) == Sums(1, 0, 0)
    assert quality(database, "valid") == Sums(1, 0, 0)
    rated.submit(make_rating("a", 1.0, metric="valid", rater="schema", minute=11)).result()
    assert quality(database) == Sums(1, 8_000, 64_000_000)


def test_a_rating_may_come_before_the_attempt(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a")).result()
    writer.submit(make_rating("a")).result()
    assert quality(database) == Sums()
    writer.submit(make_attempt("a")).result()
    assert quality(database) == Sums(1, 8_000, 64_000_000)


def test_a_failover_credits_the_model_that_served(database: Database, writer: Writer) -> None:
    failed, served = make_attempt("a", failed=True), make_attempt("a", number=1, model_id="large")
    writer.submit(make_selection("a"), failed, served, make_rating("a")).result()
    reader = EvidenceReader(database)
    reader.refresh()
    by_model = {(key.model_id, key.measure): sums for key, sums in reader.rows.items()}
    assert by_model["small", FAILURE] == Sums(1, 1, 1)
    assert by_model["large", FAILURE] == Sums(1, 0, 0)
    assert by_model["large", CALLS_OF_1200_TOKENS] == CALL
    assert ("small", CALLS_OF_1200_TOKENS) not in by_model
    assert by_model["large", QUALITY + "quality"] == Sums(1, 8_000, 64_000_000)
