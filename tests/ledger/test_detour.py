"""Through an outage: what the database cannot take waits on the disk, and is written once when it is back."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from optimizer.domain import Request
from optimizer.errors import InvalidRating, LedgerUnavailable
from optimizer.ledger.audit import verify
from optimizer.ledger.calls import read_call, recent_calls
from optimizer.ledger.database import Database
from optimizer.ledger.health import BreakerState, read_health
from optimizer.ledger.journal import Place
from optimizer.ledger.records import FactsCodec
from optimizer.ledger.schema import open_database
from optimizer.ledger.sessions import SessionChoice, recall_session
from optimizer.ledger.tables import metadata
from optimizer.ledger.writer import Writer
from tests.ledger.factory import NOON, make_attempt, make_decision, make_rating, make_selection, rule_of

ROOT = Path(__file__).parents[2]

# Writes calls while somebody else locks the database, telling each that is acknowledged, until it is killed.
DYING = """
import sys
from itertools import count
from pathlib import Path
from optimizer.ledger.journal import Place
from optimizer.ledger.schema import open_database
from optimizer.ledger.writer import Writer
from tests.ledger.factory import make_attempt, make_rating, make_selection, rule_of
database = open_database(sys.argv[1], timeout_s=0.05)
writer = Writer(database, rule_of, durability="sync", place=Place(Path(sys.argv[2]), "it", "facts"))
print("ready", flush=True)
sys.stdin.readline()
for number in count():
    name = f"{number:06}"
    writer.submit(make_selection(name), make_attempt(name), make_rating(name)).result()
    print(name, flush=True)
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "journal", "it", "facts")


@pytest.fixture
def hasty(url: str) -> Iterator[Database]:
    """The ledger, opened by somebody who does not wait long for locks."""
    database = open_database(url, timeout_s=0.05)
    yield database
    database.close()


@contextmanager
def outage(database: Database) -> Iterator[None]:
    """Keep everybody else from writing."""
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("LOCK TABLE evidence, calls, attempts, feedback, sessions, health"))
        yield


def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.reading() as connection:
        return {
            n: sorted(map(tuple, connection.execute(select(t)).all()), key=repr) for n, t in metadata.tables.items()
        }


def test_facts_of_an_outage_are_safe_at_once_and_written_when_it_is_over(
    database: Database, hasty: Database, place: Place
) -> None:
    writer = Writer(hasty, rule_of, durability="sync", place=place)
    with outage(database):
        writer.submit(make_selection("a"), make_attempt("a")).result()
        writer.submit(make_selection("b")).result()
        writer.submit(make_rating("a")).result()
        assert writer.is_away
        assert writer.n_journaled == 3
        with pytest.raises(LedgerUnavailable, match="locked"):
            writer.flush()
    writer.flush()
    assert (writer.is_away, writer.n_journaled, place.left()) == (False, 0, [])
    assert read_call(database, "a").feedback == (make_rating("a"),)
    assert read_call(database, "a").attempts == (make_attempt("a"),)
    assert {call.selection.call_id for call in recent_calls(database)} == {"a", "b"}
    assert verify(database, rule_of) == []
    writer.submit(make_selection("c")).result()
    assert read_call(database, "c")
    writer.close()


def test_every_kind_of_fact_comes_through_whole(database: Database, hasty: Database, place: Place) -> None:
    request = Request(
        use_case="chat", context_tokens=7, session_id="s", tenant="acme", tags=(("a", "b"),), max_cost_usd=0.25
    )
    drawn = replace(make_selection("a", request=request), prompt_hmac="0123", held_out=True, overridden_by="pin")
    breaker = BreakerState("portkey", "small", "open", "timeout", 3, NOON, NOON)
    other = make_selection("b", decision=make_decision("code", "short"))
    writer = Writer(hasty, rule_of, durability="sync", place=place)
    with outage(database):
        writer.submit(drawn, SessionChoice("chat", "s", "small", NOON), make_attempt("a", failed=True)).result()
        writer.submit(other, make_attempt("b"), make_rating("b", None), breaker).result()
    writer.close()
    stored = read_call(database, "a")
    assert (stored.selection, stored.attempts) == (drawn, (make_attempt("a", failed=True),))
    assert read_call(database, "b").selection == other
    assert recall_session(database, "chat", "s") == "small"
    assert read_health(database) == [breaker]


def test_raw_features_stay_out_of_the_journal_unless_they_are_kept() -> None:
    request = Request(use_case="chat", context_tokens=7, features=(0.125, 0.25))
    for keep in (False, True):
        written = FactsCodec(keep_features=keep).encode((make_selection("a", request=request),))
        assert (b"0.125" in b"".join(written)) == keep


def test_a_decision_is_written_once_for_all_its_calls() -> None:
    codec = FactsCodec()
    first, second = (codec.encode((make_selection(name),)) for name in "ab")
    assert (len(first), len(second)) == (2, 1)


def test_what_no_database_would_take_is_refused_at_once(database: Database, hasty: Database, place: Place) -> None:
    writer = Writer(hasty, rule_of, durability="sync", place=place)
    with outage(database):
        writer.submit(make_selection("a")).result()
        with pytest.raises(InvalidRating):
            writer.submit(make_rating("a", 7.0)).result()
        with pytest.raises(InvalidRating):
            writer.submit(make_rating("a", float("nan"))).result()
    writer.close()
    assert read_call(database, "a").feedback == ()


def test_a_rating_of_an_unknown_call_is_dropped_when_the_database_is_back(
    database: Database, hasty: Database, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(hasty, rule_of, durability="sync", place=place)
    with outage(database):
        writer.submit(make_rating("nobody")).result()
        writer.submit(make_selection("a"), make_rating("a")).result()
    writer.close()
    assert "no call nobody" in caplog.text
    assert read_call(database, "a").feedback == (make_rating("a"),)


def test_a_journal_written_twice_changes_nothing(
    database: Database, hasty: Database, place: Place, tmp_path: Path
) -> None:
    """As after a death between the commit and the forgetting; meanwhile, others have gone on."""
    moves = [
        SessionChoice("chat", "s", "small", NOON),
        SessionChoice("chat", "s", "large", NOON.replace(minute=20), "small"),
    ]
    writer = Writer(hasty, rule_of, durability="sync", place=place)
    with outage(database):
        for n, name in enumerate("abc"):
            writer.submit(make_selection(name), *moves[n : n + 1]).result()
            writer.submit(make_attempt(name)).result()
            writer.submit(make_rating(name, 0.25)).result()
            writer.submit(make_rating(name, 0.75, minute=20)).result()
        (path,) = place.left()
        copy = shutil.copy(path, tmp_path / "copy")
    writer.flush()
    writer.submit(make_rating("a", 1.0, minute=30)).result()
    writer.submit(SessionChoice("chat", "s", "small", NOON.replace(minute=30), "large")).result()
    writer.close()
    before = rows(database)
    shutil.move(copy, path)
    Writer(hasty, rule_of, place=place).close()
    assert place.left() == []
    assert rows(database) == before
    assert verify(database, rule_of) == []


def test_a_commit_whose_answer_got_lost_counts_once(database: Database, hasty: Database, place: Place) -> None:
    """The database has the call already when the journal brings it."""
    writer = Writer(hasty, rule_of, durability="sync", place=place)
    facts = make_selection("a"), make_attempt("a"), make_rating("a")
    with outage(database):
        writer.submit(*facts).result()
        writer.submit(make_selection("b")).result()
    other = Writer(database, rule_of, durability="sync")
    other.submit(*facts).result()
    other.close()
    writer.close()
    assert len(recent_calls(database)) == 2
    assert verify(database, rule_of) == []


def test_a_killed_process_loses_nothing_that_was_acknowledged_in_an_outage(
    url: str, database: Database, hasty: Database, place: Place
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DYING, url, str(place.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with outage(database):
            process.stdin.write("go\n")
            process.stdin.flush()
            told = [process.stdout.readline().strip() for _ in range(20)]
            process.send_signal(signal.SIGKILL)
            told += process.stdout.read().split()
    Writer(hasty, rule_of, place=place).close()
    stored = {call.selection.call_id: call for call in recent_calls(database, limit=100_000)}
    assert set(told) <= set(stored)
    assert all(stored[name].feedback == (make_rating(name),) for name in told)
    assert verify(database, rule_of) == []
    assert place.left() == []


def test_a_journal_waits_for_the_next_start_where_the_database_stays_away(
    database: Database, hasty: Database, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(hasty, rule_of, durability="sync", place=place)
    with outage(database):
        writer.submit(make_selection("a")).result()
        writer.close()
    assert "1 facts wait in" in caplog.text
    assert recent_calls(database) == []
    Writer(hasty, rule_of, place=place).close()
    assert read_call(database, "a")


def test_where_no_journal_can_be_written_facts_wait_in_memory(
    database: Database, hasty: Database, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    writer = Writer(hasty, rule_of, durability="sync", place=Place(tmp_path / "file", "it", "facts"))
    with outage(database):
        late = writer.submit(make_selection("a"))
        with pytest.raises(LedgerUnavailable, match="cannot be written"):
            late.result()
    writer.flush()
    assert read_call(database, "a")
    writer.close()


def test_calls_go_on_while_a_long_journal_is_written(
    database: Database, hasty: Database, place: Place, opened: Callable[[str], Database]
) -> None:
    """Six hundred calls wait and more come meanwhile; all are there once, in whatever way they went."""
    writer = Writer(hasty, rule_of, place=place)
    with outage(database):
        for number in range(600):
            writer.submit(make_selection(f"{number:04}"), make_attempt(f"{number:04}"))
        while writer.n_journaled < 600:
            pass
    for number in range(600, 900):
        writer.submit(make_selection(f"{number:04}"), make_attempt(f"{number:04}"))
    writer.flush()
    writer.close()
    assert len(recent_calls(database, limit=1_000)) == 900
    assert verify(database, rule_of) == []
