"""Calls go when they are too old, with all that was said of them; what they taught stays, and stays in order."""

from datetime import datetime, timedelta

import pytest

from optimizer.decision.evidence import EvidenceKey, Sums
from optimizer.domain import Request
from optimizer.errors import UnknownCall
from optimizer.ledger.audit import rebuild, verify
from optimizer.ledger.calls import read_call
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import read_evidence, roll_up
from optimizer.ledger.retention import forget_calls
from optimizer.ledger.sessions import SessionChoice, recall_session
from optimizer.ledger.writer import Writer
from tests.ledger.factory import NOON, make_attempt, make_rating, make_selection, rule_of

DAY = timedelta(days=1)


@pytest.fixture
def taught(database: Database, writer: Writer) -> dict[EvidenceKey, Sums]:
    """Write a call at noon of each of four days, with an attempt and a rating; return the evidence."""
    for day in range(4):
        writer.submit(make_selection(f"day{day}", at=NOON + day * DAY), make_attempt(f"day{day}"))
        writer.submit(make_rating(f"day{day}", 0.9))
    writer.flush()
    return read_evidence(database)


def there(database: Database) -> list[str]:
    found = []
    for day in range(4):
        try:
            found.append(read_call(database, f"day{day}").selection.call_id)
        except UnknownCall:
            continue
    return found


def test_calls_of_whole_days_go_and_what_they_taught_stays(database: Database, taught: dict[EvidenceKey, Sums]) -> None:
    assert forget_calls(database, NOON + 2 * DAY, most=100) == 2
    assert there(database) == ["day2", "day3"]
    assert read_evidence(database) == taught
    assert forget_calls(database, NOON + 2 * DAY, most=100) == 0


def test_the_ledger_is_in_order_without_them(database: Database, taught: dict[EvidenceKey, Sums]) -> None:
    forget_calls(database, NOON + 2 * DAY, most=100)
    assert verify(database, rule_of) == []
    rebuild(database, rule_of)
    assert read_evidence(database) == taught
    roll_up(database, NOON + 60 * DAY)
    assert verify(database, rule_of) == []
    rebuild(database, rule_of)
    assert sum(sums.n for sums in read_evidence(database).values()) == sum(sums.n for sums in taught.values())


@pytest.mark.parametrize("most", [0, 1])
def test_it_is_in_order_wherever_the_deleting_was_broken_off(
    database: Database, taught: dict[EvidenceKey, Sums], most: int
) -> None:
    assert forget_calls(database, NOON + 2 * DAY, most=most) == most
    assert there(database) == ["day0", "day1", "day2", "day3"][most:]
    assert verify(database, rule_of) == []


def test_a_call_that_is_gone_cannot_be_rated(
    database: Database, writer: Writer, taught: dict[EvidenceKey, Sums]
) -> None:
    forget_calls(database, NOON + 2 * DAY, most=100)
    with pytest.raises(UnknownCall):
        writer.submit(make_rating("day1", 0.1, rater="late")).result()
    writer.submit(make_rating("day2", 0.1, rater="late")).result()
    assert verify(database, rule_of) == []


def test_the_days_that_are_gone_stay_gone_whatever_is_asked_later(
    database: Database, taught: dict[EvidenceKey, Sums]
) -> None:
    forget_calls(database, NOON + 2 * DAY, most=100)
    forget_calls(database, NOON, most=100)  # as where the setting was raised
    assert verify(database, rule_of) == []


def test_sessions_go_with_the_last_of_their_calls(database: Database, writer: Writer) -> None:
    def begun(session: str, at: datetime) -> SessionChoice:
        return SessionChoice("chat", session, "small", at)

    for name, session, at in (("a", "old", NOON), ("b", "long", NOON), ("c", "long", NOON + 3 * DAY)):
        request = Request(use_case="chat", context_tokens=1200, session_id=session)
        writer.submit(make_selection(name, at=at, request=request), begun(session, at))
    writer.flush()
    assert forget_calls(database, NOON + 2 * DAY, most=100) == 2
    assert recall_session(database, "chat", "old") is None
    assert recall_session(database, "chat", "long") == "small"
