"""A ledger of few calls in which every table holds something, and a writer that goes on meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event, Thread

from sqlalchemy import insert

from optimizer.decision.drift import Alarm
from optimizer.domain import DatedPrice, Price, Request
from optimizer.ledger import tables
from optimizer.ledger.alarms import raise_alarms
from optimizer.ledger.database import Database
from optimizer.ledger.prices import append_prices
from optimizer.ledger.rows import to_us
from optimizer.ledger.schema import open_database
from optimizer.ledger.writer import Writer
from tests.ledger.factory import NOON, make_attempt, make_rating, make_selection, rule_of

DAY = timedelta(days=1)
TAGGED = Request(use_case="chat", context_tokens=900, tenant="acme", tags=(("team", "it's"), ("team", "b"), ("x", "")))


def fill(url: str) -> None:
    """Write five calls over three days: `a` failed first, `b` is of unknown cost, `c` reused, `lost` failed."""
    database = open_database(url)
    writer = Writer(database, rule_of, durability="sync")
    failed = replace(make_attempt("a", failed=True), cost_nano_usd=40_000, cost_source="priced")
    second = replace(make_attempt("a", number=1, model_id="large"), provider="openai", reused=None)
    writer.submit(make_selection("a", request=TAGGED), failed, second)
    writer.submit(make_selection("b", at=NOON + DAY), replace(make_attempt("b"), cost_nano_usd=None))
    writer.submit(make_selection("c", at=NOON + DAY), replace(make_attempt("c"), reused="cache", cost_nano_usd=0))
    writer.submit(make_selection("lost", at=NOON + 2 * DAY), make_attempt("lost", failed=True))
    writer.submit(make_selection("open", at=NOON + 2 * DAY))
    writer.submit(make_rating("a", 0.8), make_rating("a", 0.4, rater="bob"), make_rating("a", 0.1, rater="judge:x"))
    writer.submit(make_rating("b", 0.5, rater="judge:x"), make_rating("b", None), make_rating("lost", 0.0)).result()
    writer.close()
    append_prices(database, [DatedPrice("small", "portkey", NOON, Price(0.5, 2.0), "list")])
    raise_alarms(database, [Alarm(to_us(NOON) // 1_000_000, "small", "quality", "decline")], NOON)
    with database.writing() as connection:
        connection.execute(insert(tables.budgets).values(("tenant", "acme", "day", to_us(NOON), 1_500_000_000, 0)))
    database.close()


@contextmanager
def going_on(url: str, at: datetime = NOON) -> Iterator[Database]:
    """Write calls, each with an attempt and a rating, until the block ends."""
    database, done = open_database(url), Event()
    writer = Writer(database, rule_of, durability="sync")

    def write() -> None:
        for number in range(20_000):
            if done.is_set():
                return
            name = f"more-{number:05}"
            writer.submit(make_selection(name, at=at), make_attempt(name), make_rating(name)).result()

    thread = Thread(target=write)
    thread.start()
    try:
        yield database
    finally:
        done.set()
        thread.join()
        writer.close()
        database.close()
