"""Evidence at rest: readers follow it, roll-up keeps its sums, late facts find their row."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import text, update

from optimizer.decision.evidence import DAY_S, FINE_S, HOUR_S, LATENCY, QUALITY, EvidenceKey, Sums
from optimizer.ledger.audit import rebuild, verify
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader, raise_epoch, read_evidence, roll_up
from optimizer.ledger.tables import evidence
from optimizer.ledger.writer import Writer
from tests.ledger.factory import CALL, CALLS_OF_1200_TOKENS, NOON, make_attempt, make_rating, make_selection, rule_of


def reader_of(database: Database) -> EvidenceReader:
    reader = EvidenceReader(database)
    reader.refresh()
    return reader


def key_of(start_s: int, width_s: int, measure: str = CALLS_OF_1200_TOKENS) -> EvidenceKey:
    return EvidenceKey("chat", "", "small", measure, start_s, width_s)


def test_a_reader_sees_only_what_is_new(database: Database, writer: Writer) -> None:
    reader = EvidenceReader(database)
    assert not reader.refresh()
    writer.submit(make_selection("a"), make_attempt("a")).result()
    assert reader.refresh()
    held = reader.rows
    assert not reader.refresh()
    assert reader.rows is held
    writer.submit(make_rating("a")).result()
    assert reader.refresh()
    assert reader.rows == held | {key_of(1772452800, FINE_S, QUALITY + "quality"): Sums(1, 8_000, 64_000_000)}


def test_a_reader_drops_what_was_taken_back(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), make_attempt("a")).result()
    reader = reader_of(database)
    before = reader.rows
    writer.submit(make_rating("a")).result()
    assert reader.refresh()
    writer.submit(make_rating("a", None, minute=11)).result()
    assert reader.refresh()
    assert reader.rows == before


def test_a_reader_does_not_read_rows_again_that_changed_long_ago(database: Database, writer: Writer) -> None:
    """A row changed behind the reader's back, with an old stamp, shows only in a new epoch."""
    writer.submit(make_selection("a"), make_attempt("a")).result()
    reader = reader_of(database)
    with database.writing() as connection:
        connection.execute(update(evidence).values(n=7, changed_at_us=1))
    assert not reader.refresh()
    with database.writing() as connection:
        raise_epoch(connection)
    assert reader.refresh()
    assert {sums.n for sums in reader.rows.values()} == {7}


def test_a_clock_that_was_set_back_hides_nothing(database: Database, writer: Writer) -> None:
    """The reader has looked at a later time than the database has now."""
    writer.submit(make_selection("a"), make_attempt("a")).result()
    reader = reader_of(database)
    reader._seen_until_us += 3_600_000_000
    writer.submit(make_rating("a")).result()
    assert reader.refresh()


def test_replies_of_other_calls_leave_no_evidence_and_nothing_to_verify(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), replace(make_attempt("a"), reused="cache", cost_nano_usd=0))
    writer.submit(make_rating("a")).result()
    assert reader_of(database).rows == {}
    assert verify(database, rule_of) == []
    assert rebuild(database, rule_of) == 0


def test_roll_up_keeps_sums_in_wider_rows(database: Database, writer: Writer) -> None:
    """Calls at 12:05, 12:35 and 13:05: three fine rows become two of an hour, then one of a day."""
    for number, minutes in enumerate((0, 30, 60)):
        at = NOON + timedelta(minutes=minutes)
        writer.submit(make_selection(f"{number}", at=at), make_attempt(f"{number}")).result()
    hour, day = int(NOON.timestamp()) // HOUR_S * HOUR_S, int(NOON.timestamp()) // DAY_S * DAY_S
    reader = reader_of(database)

    assert roll_up(database, NOON + timedelta(hours=20)) == 0
    assert not reader.refresh()
    assert roll_up(database, NOON + timedelta(days=2)) > 0
    assert reader.refresh()
    counts = {key: sums for key, sums in reader.rows.items() if key.measure == CALLS_OF_1200_TOKENS}
    assert counts == {key_of(hour, HOUR_S): CALL + CALL, key_of(hour + HOUR_S, HOUR_S): CALL}
    assert verify(database, rule_of) == []

    assert roll_up(database, NOON + timedelta(days=40)) > 0
    assert reader.refresh()
    assert {key: sums for key, sums in reader.rows.items() if key.measure == CALLS_OF_1200_TOKENS} == {
        key_of(day, DAY_S): CALL + CALL + CALL
    }
    assert verify(database, rule_of) == []


def test_late_facts_go_into_the_wide_row_of_their_call(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), make_attempt("a")).result()
    reader = reader_of(database)
    roll_up(database, NOON + timedelta(days=2))
    writer.submit(make_rating("a", minute=3000)).result()
    writer.submit(make_selection("b"), make_attempt("b")).result()
    assert verify(database, rule_of) == []
    reader.refresh()
    hour = int(NOON.timestamp()) // HOUR_S * HOUR_S
    assert reader.rows[key_of(hour, HOUR_S, QUALITY + "quality")] == Sums(1, 8_000, 64_000_000)
    assert reader.rows[key_of(hour, HOUR_S)] == CALL + CALL
    assert {key.bucket_width_s for key in reader.rows} == {HOUR_S}


def test_roll_up_of_an_earlier_time_changes_nothing(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), make_attempt("a")).result()
    roll_up(database, NOON + timedelta(days=40))
    assert roll_up(database, NOON) == 0
    assert verify(database, rule_of) == []


def test_verify_names_a_tampered_row_and_rebuild_mends_it(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), make_attempt("a"), make_rating("a")).result()
    reader = reader_of(database)
    whole = reader.rows
    with database.writing() as connection:
        connection.execute(text("UPDATE evidence SET total = total + 1 WHERE measure = 'quality:quality'"))
        connection.execute(text("DELETE FROM evidence WHERE measure = 'calls:20'"))
    missing, tampered = verify(database, rule_of)
    assert (missing.key.measure, missing.stored, missing.expected) == (CALLS_OF_1200_TOKENS, Sums(), CALL)
    assert (tampered.stored.total, tampered.expected.total) == (8_001, 8_000)
    assert rebuild(database, rule_of) == len(whole)
    assert verify(database, rule_of) == []
    reader.refresh()
    assert reader.rows == whole


def test_evidence_is_read_without_some_measures(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), make_attempt("a"), make_rating("a")).result()
    whole = reader_of(database).rows
    assert read_evidence(database) == whole
    assert any(key.measure.startswith(LATENCY) for key in whole)
    few = read_evidence(database, without=(LATENCY, QUALITY))
    assert few == {k: v for k, v in whole.items() if not k.measure.startswith((LATENCY, QUALITY))}
