"""Spending through an outage: what is settled or charged is charged once, whoever dies meanwhile."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from optimizer.decision.limits import EVERYTHING, SpendingLimits, Wanted
from optimizer.errors import LedgerUnavailable
from optimizer.ledger.budgets import BudgetBatch, charge_groups
from optimizer.ledger.database import Database
from optimizer.ledger.journal import Place
from optimizer.ledger.purse import Purse
from optimizer.ledger.reservations import Charge, Group, key_of
from optimizer.ledger.schema import open_database
from optimizer.ledger.statements import Statements
from optimizer.ledger.tables import reservations
from tests.ledger.factory import NOON

HUNDRED = SpendingLimits({EVERYTHING: {"hour": 100}})
WANTED = Wanted(10, 10, "chat")

Opened = Callable[[], Purse]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "journal", "it", "costs")


@pytest.fixture
def opened_purse(url: str, place: Place) -> Iterator[Opened]:
    """Open purses that do not wait long for locks."""
    database = open_database(url, timeout_s=0.05)
    purses: list[Purse] = []

    def open_one() -> Purse:
        purses.append(Purse(database, HUNDRED, clock=lambda: NOON, place=place))
        return purses[-1]

    yield open_one
    for purse in purses:
        purse.close()
    database.close()


@contextmanager
def outage(database: Database) -> Iterator[None]:
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("LOCK TABLE budgets, reservations IN ACCESS EXCLUSIVE MODE"))
        yield


def standing(purse: Purse) -> tuple[int, int]:
    status = purse.status()[0]
    return status.spent_nano_usd, status.reserved_nano_usd


def test_costs_of_an_outage_are_charged_when_it_is_over(database: Database, opened_purse: Opened) -> None:
    purse = opened_purse()
    reservations_made = [purse.reserve(WANTED).result() for _ in range(2)]
    with outage(database):
        purse.charge("chat", None, 20).result()
        for reservation in reservations_made:
            purse.settle(reservation, 7).result()
        with pytest.raises(LedgerUnavailable):
            purse.reserve(WANTED).result()
        assert purse.n_journaled > 0
    purse.flush()
    assert standing(purse) == (34, 0)
    assert purse.reserve(WANTED).result().granted_nano_usd == 10


def test_a_journal_charged_twice_charges_once(
    database: Database, opened_purse: Opened, place: Place, tmp_path: Path
) -> None:
    """As after a death between the commit and the forgetting."""
    purse = opened_purse()
    reservation = purse.reserve(WANTED).result()
    with outage(database):
        purse.charge("chat", None, 20).result()
        purse.settle(reservation, 7).result()
        purse.charge("chat", None, 1).result()
        (path,) = place.left()
        copy = shutil.copy(path, tmp_path / "copy")
    purse.flush()
    purse.charge("chat", None, 2).result()
    shutil.move(copy, path)
    opened_purse()
    assert place.left() == []
    assert standing(purse) == (30, 0)


def test_a_dead_process_is_charged_by_the_next(
    database: Database, opened_purse: Opened, place: Place, tmp_path: Path
) -> None:
    """Its journal is all that is left of it."""
    purse = opened_purse()
    with outage(database):
        purse.charge("chat", None, 20).result()
        (path,) = place.left()
        copy = shutil.copy(path, tmp_path / "copy")
        purse.close()
        path.unlink()
    shutil.move(copy, path)
    assert standing(opened_purse()) == (20, 0)


def test_a_commit_whose_answer_got_lost_charges_once(database: Database, opened_purse: Opened) -> None:
    """The database has charged group 1, but its teller does not know, and brings it again with group 2 by journal."""
    order = Charge(tuple(map(key_of, HUNDRED.applying("chat", None, NOON))), 20)
    groups = [Group("teller", number, (order,)) for number in (1, 2)]
    statements = Statements(database.engine.dialect)
    with database.writing() as connection:
        BudgetBatch(connection, statements, [order], ttl_us=1_000_000).write(groups[:1])
    for _ in range(2):
        with database.writing() as connection:
            charge_groups(connection, statements, groups, ttl_us=1_000_000)
    assert standing(opened_purse()) == (40, 0)


def test_a_teller_leaves_one_mark_that_is_no_reservation(database: Database, opened_purse: Opened) -> None:
    purse = opened_purse()
    for _ in range(3):
        purse.settle(purse.reserve(WANTED).result(), 1).result()
    with database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(reservations)) == 1
    assert standing(purse) == (3, 0)
