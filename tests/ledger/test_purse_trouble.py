"""Cancelled callers, locked databases and poisoned orders: no money stays set aside for nobody, no cost is lost."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from optimizer.decision.limits import EVERYTHING, Scope, SpendingLimits, Wanted
from optimizer.errors import LedgerError, LedgerUnavailable
from optimizer.ledger.database import Database
from optimizer.ledger.purse import Purse
from optimizer.ledger.schema import open_database
from tests.ledger.factory import NOON

Purses = Callable[..., Purse]

HUNDRED = SpendingLimits({EVERYTHING: {"hour": 100}, Scope("tenant", "*"): {"hour": 50}})
WANTED = Wanted(10, 10, "chat")


@pytest.fixture
def hasty(url: str) -> Iterator[Database]:
    """The ledger, opened by somebody who does not wait long for locks."""
    database = open_database(url, timeout_s=0.05)
    yield database
    database.close()


@contextmanager
def locked(database: Database) -> Iterator[None]:
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("LOCK TABLE budgets IN ACCESS EXCLUSIVE MODE"))
        yield


def standing(purse: Purse) -> tuple[int, int]:
    status = purse.status()[0]
    return status.spent_nano_usd, status.reserved_nano_usd


def test_a_cancelled_wish_sets_nothing_aside(database: Database, purses: Purses) -> None:
    """Whether it is cancelled before, while or after it is carried out; the lock lets all three happen."""
    purse = purses(HUNDRED)
    with locked(database):
        futures = [purse.reserve(WANTED) for _ in range(5)]
        for future in futures:
            future.cancel()
    purse.charge("chat", None, 1).result()
    purse.charge("chat", None, 1).result()
    assert standing(purse) == (2, 0)


@pytest.mark.parametrize("wait", [True, False])
def test_an_abandoned_wish_sets_nothing_aside(purses: Purses, wait: bool) -> None:
    purse = purses(HUNDRED)
    future = purse.reserve(WANTED)
    if wait:
        future.result()
    purse.abandon(future)
    purse.charge("chat", None, 1).result()
    purse.charge("chat", None, 1).result()
    assert standing(purse) == (2, 0)


def test_a_cancelled_task_sets_nothing_aside(purses: Purses) -> None:
    purse = purses(HUNDRED)

    async def one(delay_s: float) -> None:
        future = purse.reserve(WANTED)
        task = asyncio.ensure_future(asyncio.wrap_future(future))
        await asyncio.sleep(delay_s)
        task.cancel()
        purse.abandon(future)
        await asyncio.gather(task, return_exceptions=True)

    async def many() -> None:
        await asyncio.gather(*(one(n / 4000) for n in range(40)))

    asyncio.run(many())
    purse.charge("chat", None, 1).result()
    purse.charge("chat", None, 1).result()
    assert standing(purse) == (2, 0)


def test_a_locked_database_refuses_wishes_and_keeps_costs(database: Database, hasty: Database) -> None:
    purse = Purse(hasty, HUNDRED, clock=lambda: NOON)
    reservation = purse.reserve(WANTED).result()
    with locked(database):
        with pytest.raises(LedgerUnavailable, match="locked"):
            purse.reserve(WANTED).result()
        for late in (purse.settle(reservation, 7), purse.charge("chat", None, 20)):
            with pytest.raises(LedgerUnavailable, match="locked"):
                late.result()
        with pytest.raises(LedgerUnavailable, match="locked"):
            purse.reserve(WANTED).result()
    purse.close()
    assert standing(purse) == (27, 0)


def test_a_purse_that_cannot_charge_says_so_when_it_is_closed(database: Database, hasty: Database) -> None:
    purse = Purse(hasty, HUNDRED, clock=lambda: NOON)
    reservation = purse.reserve(WANTED).result()
    with locked(database):
        late = purse.settle(reservation, 7)
        with pytest.raises(LedgerUnavailable, match=r"1 costs were not charged to their limits: .* was locked"):
            purse.close()
    with pytest.raises(LedgerUnavailable, match="locked"):
        late.result()
    purse.close()


def test_a_closed_purse_says_so(purses: Purses) -> None:
    purse = purses(HUNDRED)
    reservation = purse.reserve(WANTED).result()
    purse.close()
    purse.close()
    for future in (purse.reserve(WANTED), purse.settle(reservation, 3)):
        with pytest.raises(LedgerUnavailable, match="closed"):
            future.result()


def test_a_poisoned_order_does_not_lose_its_neighbours(database: Database, purses: Purses) -> None:
    purse = purses(HUNDRED)
    with locked(database):
        before = [purse.reserve(WANTED) for _ in range(3)]
        poisoned = purse.reserve(Wanted(10, 10, "chat", "\udc80"))
        after = purse.charge("chat", None, 10**30)
    assert [future.result().granted_nano_usd for future in before] == [10] * 3
    with pytest.raises(LedgerError, match="refuses"):
        poisoned.result()
    after.result()
    assert standing(purse)[1] == 30


def test_a_lost_connection_is_made_anew(database: Database, purses: Purses) -> None:
    purse = purses(HUNDRED)
    reservation = purse.reserve(WANTED).result()
    if database.is_sqlite:
        database.close()
    else:
        with database.writing() as connection:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))  # noqa: S608
    purse.settle(reservation, 7).result()
    assert standing(purse) == (7, 0)


def test_an_unsettled_purse_knows_a_settlement_whose_answer_got_lost(database: Database, purses: Purses) -> None:
    """The same settlement again, by a purse that does not know that the first one was committed."""
    first, second = purses(HUNDRED), purses(HUNDRED)
    reservation = first.reserve(WANTED).result()
    first.settle(reservation, 7).result()
    second.settle(reservation, 7).result()
    assert standing(first) == (7, 0)
