"""Alarms in the ledger: one per model, subject and direction within a day, whoever writes, and however often."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from optimizer.decision.drift import APART_S, Alarm
from optimizer.ledger.alarms import RaisedAlarm, raise_alarms, read_alarms
from optimizer.ledger.database import Database
from optimizer.ledger.rows import to_us
from optimizer.ledger.schema import open_database
from optimizer.ledger.tables import alarms
from tests.ledger.factory import NOON

NOON_S = to_us(NOON) // 1_000_000
DECLINE = Alarm(NOON_S, "small", "quality", "decline")
OTHERS = [
    replace(DECLINE, model_id="large"),
    replace(DECLINE, direction="improvement"),
    replace(DECLINE, subject="failure"),
]
ROOT = Path(__file__).parents[2]

# Raises the same shift fifty times, dated ever later; prints how often it was news.
WORKER = """
import sys
from datetime import UTC, datetime
from optimizer.decision.drift import Alarm
from optimizer.ledger.alarms import raise_alarms
from optimizer.ledger.schema import open_database
database = open_database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
first = int(sys.argv[2])
found = [Alarm(first + 900 * n, "small", "quality", "decline") for n in range(50)]
print(sum(len(raise_alarms(database, [alarm], datetime.now(UTC))) for alarm in found), flush=True)
database.close()
"""


def test_alarms_read_back_as_they_were_raised(database: Database) -> None:
    later = NOON + timedelta(minutes=40)
    assert read_alarms(database) == []
    assert raise_alarms(database, [DECLINE, *OTHERS], later) == sorted([DECLINE, *OTHERS])
    found = read_alarms(database)
    assert sorted(each.alarm for each in found) == sorted([DECLINE, *OTHERS])
    assert {(each.since, each.raised_at) for each in found} == {(NOON, later)}


@pytest.mark.parametrize("later_s", [0, 900, APART_S - 1])
def test_a_second_one_within_a_day_is_no_news(database: Database, later_s: int) -> None:
    """Twelve hours and more later it is another day, so the key alone would not see it."""
    raise_alarms(database, [DECLINE], NOON)
    assert raise_alarms(database, [replace(DECLINE, since_s=NOON_S + later_s)], NOON) == []
    assert raise_alarms(database, [replace(DECLINE, since_s=NOON_S - later_s)], NOON) == []
    assert read_alarms(database) == [RaisedAlarm(DECLINE, NOON)]


def test_a_day_later_is_another_alarm(database: Database) -> None:
    other = replace(DECLINE, since_s=NOON_S + APART_S)
    assert raise_alarms(database, [other, DECLINE], NOON) == [DECLINE, other]
    assert len(read_alarms(database)) == 2


def test_the_database_itself_refuses_two_of_a_day(database: Database) -> None:
    raise_alarms(database, [DECLINE], NOON)
    row = ("small", "quality", "decline", NOON_S // APART_S, 0, 0)
    with pytest.raises(IntegrityError), database.engine.begin() as connection:
        connection.execute(insert(alarms).values(row))


def test_threads_that_find_one_alarm_write_one(url: str) -> None:
    """Each dates it to another quarter of an hour."""

    def find(number: int) -> int:
        database = open_database(url)
        try:
            return len(raise_alarms(database, [replace(DECLINE, since_s=NOON_S + 900 * number)], NOON))
        finally:
            database.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(find, range(16))) == 1


def test_two_processes_that_find_one_alarm_write_one(url: str) -> None:
    command = [sys.executable, "-W", "error", "-c", WORKER, url, str(NOON_S)]
    workers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
    n_news = [int(worker.communicate("go\n", timeout=60)[0]) for worker in workers]
    assert sum(n_news) == 1
    database = open_database(url)
    assert len(read_alarms(database)) == 1
    database.close()
