"""Locks, crashes and other processes: nothing is lost that was acknowledged, nothing counted twice."""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from optimizer.errors import LedgerUnavailable
from optimizer.ledger.audit import verify
from optimizer.ledger.calls import read_call, recent_calls
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader
from optimizer.ledger.schema import open_database
from optimizer.ledger.writer import Writer
from tests.ledger.factory import make_attempt, make_rating, make_selection, rule_of

ROOT = Path(__file__).parents[2]

# Writes calls, telling each that is acknowledged, until it is killed.
ENDLESS = """
import sys
from itertools import count
from optimizer.ledger.schema import open_database
from optimizer.ledger.writer import Writer
from tests.ledger.factory import make_attempt, make_rating, make_selection, rule_of
writer = Writer(open_database(sys.argv[1]), rule_of, durability="sync")
for number in count():
    name = f"{number:06}"
    writer.submit(make_selection(name), make_attempt(name), make_rating(name)).result()
    print(name, flush=True)
"""

# Writes one call when told to, and reads until it has seen what the other process wrote.
ALTERNATING = """
import sys, time
from optimizer.ledger.evidence import EvidenceReader
from optimizer.ledger.schema import open_database
from optimizer.ledger.writer import Writer
from tests.ledger.factory import make_attempt, make_selection, rule_of
database = open_database(sys.argv[1])
writer, reader = Writer(database, rule_of), EvidenceReader(database)
for line in sys.stdin:
    name = line.strip()
    reader.refresh()
    print(sum(sums.n for key, sums in reader.rows.items() if key.measure.startswith("calls:")), flush=True)
    writer.submit(make_selection(name), make_attempt(name))
    writer.flush()
    print("written", flush=True)
writer.close()
database.close()
"""


def start(program: str, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def lock(database: Database) -> str:
    """Return the statement that keeps every other writer of evidence out."""
    return "BEGIN IMMEDIATE" if database.is_sqlite else "LOCK TABLE evidence, calls, attempts, feedback"


def test_a_killed_process_loses_nothing_that_was_acknowledged(url: str, opened: Callable[[str], Database]) -> None:
    with start(ENDLESS, url) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().split()
    database = opened(url)
    stored = {call.selection.call_id: call for call in recent_calls(database, limit=100_000)}
    assert set(told) <= set(stored)
    for name in told:
        assert stored[name].attempts == (make_attempt(name),)
        assert stored[name].feedback == (make_rating(name),)
    assert verify(database, rule_of) == []


def test_two_processes_learn_from_each_other(database: Database, url: str, writer: Writer) -> None:
    """In turns, each sees at its next refresh what the other has written."""
    reader = EvidenceReader(database)
    with start(ALTERNATING, url) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for turn in range(3):
            writer.submit(make_selection(f"ours-{turn}"), make_attempt(f"ours-{turn}")).result()
            process.stdin.write(f"theirs-{turn}\n")
            process.stdin.flush()
            assert int(process.stdout.readline()) == 2 * turn + 1
            assert process.stdout.readline() == "written\n"
            assert reader.refresh()
            assert sum(sums.n for key, sums in reader.rows.items() if key.measure.startswith("calls:")) == 2 * turn + 2
        process.stdin.close()
    assert process.returncode == 0
    assert verify(database, rule_of) == []


def test_facts_behind_a_lock_are_late_and_then_written_once(url: str, opened: Callable[[str], Database]) -> None:
    holder = opened(url)
    hasty = open_database(url, timeout_s=0.05)
    writer = Writer(hasty, rule_of, durability="sync")
    with holder.writing() as connection:
        if not holder.is_sqlite:
            connection.execute(text(lock(holder)))
        first = writer.submit(make_selection("a"), make_attempt("a"))
        with pytest.raises(LedgerUnavailable, match="locked"):
            first.result()
        behind = writer.submit(make_rating("a"))
        again = writer.submit(make_selection("a"), make_attempt("a"))
        with pytest.raises(LedgerUnavailable, match="locked"):
            behind.result()
    writer.submit(make_selection("b")).result()
    writer.close()
    assert again.done()
    assert read_call(hasty, "a").feedback == (make_rating("a"),)
    assert {call.selection.call_id for call in recent_calls(hasty)} == {"a", "b"}
    assert verify(hasty, rule_of) == []
    hasty.close()


def test_the_log_tells_of_facts_that_are_late_and_then_refused(
    url: str, opened: Callable[[str], Database], caplog: pytest.LogCaptureFixture
) -> None:
    holder = opened(url)
    hasty = open_database(url, timeout_s=0.05)
    writer = Writer(hasty, rule_of, durability="sync")
    with holder.writing() as connection:
        if not holder.is_sqlite:
            connection.execute(text(lock(holder)))
        with pytest.raises(LedgerUnavailable, match="locked"):
            writer.submit(make_rating("nobody")).result()
    writer.close()
    assert [record.message for record in caplog.records if "refused: call_id: no call nobody" in record.message]
    hasty.close()


def test_a_full_writer_refuses_while_the_database_is_away(url: str, opened: Callable[[str], Database]) -> None:
    holder = opened(url)
    hasty = open_database(url, timeout_s=0.05)
    writer = Writer(hasty, rule_of, durability="sync", capacity=2)
    with holder.writing() as connection:
        if not holder.is_sqlite:
            connection.execute(text(lock(holder)))
        for name in ("a", "b"):
            with pytest.raises(LedgerUnavailable, match="locked"):
                writer.submit(make_selection(name)).result()
        with pytest.raises(LedgerUnavailable, match="2 facts wait"):
            writer.submit(make_selection("c"))
        with pytest.raises(LedgerUnavailable, match="2 facts were not written"):
            writer.close()
    hasty.close()


def test_a_locked_database_takes_no_new_writer(tmp_path: Path, opened: Callable[[str], Database]) -> None:
    url = str(tmp_path / "ledger.db")
    holder = opened(url)
    hasty = open_database(url, timeout_s=0.05)
    with holder.writing(), pytest.raises(LedgerUnavailable, match=r"locked by another process for more than 0\.05 s"):
        Writer(hasty, rule_of)
    hasty.close()


def test_a_commit_whose_answer_got_lost_counts_once(database: Database, writer: Writer) -> None:
    """The facts are in the database already, but this writer does not know, as after a lost connection."""
    facts = make_selection("a"), make_attempt("a"), make_rating("a")
    writer.submit(*facts).result()
    other = Writer(database, rule_of)
    other.submit(*facts)
    other.submit(make_selection("b"))
    other.close()
    assert {call.selection.call_id for call in recent_calls(database)} == {"a", "b"}
    assert verify(database, rule_of) == []


def test_a_lost_connection_is_made_anew(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a")).result()
    if not database.is_sqlite:
        with database.writing() as connection:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))  # noqa: S608
    else:
        database.close()
    writer.submit(make_attempt("a")).result()
    assert read_call(database, "a").attempts == (make_attempt("a"),)


def test_an_unreachable_server_is_named_and_its_password_is_not() -> None:
    url = "postgresql://somebody:hunter2@127.0.0.1:1/ledger"
    with pytest.raises(LedgerUnavailable) as caught:
        open_database(url)
    assert "postgresql://127.0.0.1:1/ledger" in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
