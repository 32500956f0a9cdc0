"""Money is set aside, settled, given back and freed within limits, on both databases."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from optimizer.decision.limits import EVERYTHING, Scope, SpendingLimits, Wanted
from optimizer.errors import LimitReached
from optimizer.ledger.database import Database
from optimizer.ledger.purse import Purse
from optimizer.ledger.reservations import Reservation
from optimizer.ledger.tables import reservations
from tests.ledger.factory import NOON

Purses = Callable[..., Purse]

CHAT, ACME, OTHERS = Scope("use_case", "chat"), Scope("tenant", "acme"), Scope("tenant", "*")
HUNDRED = SpendingLimits({EVERYTHING: {"hour": 100}})


def reserve(purse: Purse, most: int, least: int | None = None, tenant: str | None = None) -> Reservation:
    return purse.reserve(Wanted(most, most if least is None else least, "chat", tenant)).result()


def standing(purse: Purse) -> list[tuple[int, int]]:
    return [(status.spent_nano_usd, status.reserved_nano_usd) for status in purse.status()]


def let_expire(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(update(reservations).values(expires_at_us=1))


def count(database: Database) -> int:
    with database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(reservations)) or 0


def test_what_is_reserved_is_settled_to_the_true_cost(database: Database, purses: Purses) -> None:
    purse = purses(HUNDRED)
    reservation = reserve(purse, 60)
    assert reservation.granted_nano_usd == 60
    assert standing(purse) == [(0, 60)]
    purse.settle(reservation, 25).result()
    assert standing(purse) == [(25, 0)]
    assert count(database) == 0


def test_less_is_granted_where_less_is_left_and_nothing_below_the_least(purses: Purses) -> None:
    purse = purses(HUNDRED)
    assert reserve(purse, 70).granted_nano_usd == 70
    assert reserve(purse, 70, least=10).granted_nano_usd == 30
    with pytest.raises(LimitReached, match=r"\$1e-07 per hour for everything leaves \$0\.000000") as caught:
        reserve(purse, 70, least=1)
    assert caught.value.opens_at == NOON.replace(hour=13, minute=0)
    assert standing(purse) == [(0, 100)]


def test_every_limit_that_applies_must_have_room(purses: Purses) -> None:
    limits = SpendingLimits({EVERYTHING: {"hour": 100, "day": 150}, CHAT: {"day": 80}, ACME: {"hour": 30}})
    purse = purses(limits)
    reserve(purse, 30, tenant="acme")
    with pytest.raises(LimitReached, match="tenant acme"):
        reserve(purse, 1, tenant="acme")
    reserve(purse, 50)
    with pytest.raises(LimitReached, match="use case chat"):
        reserve(purse, 1)
    assert purse.reserve(Wanted(20, 20, "code")).result().granted_nano_usd == 20
    assert [(str(s.scope), s.window, s.left_nano_usd) for s in purse.status()] == [
        ("everything", "hour", 0),
        ("everything", "day", 50),
        ("use case chat", "day", 0),
        ("tenant acme", "hour", 0),
    ]


def test_a_refused_reservation_leaves_no_trace_in_any_window(purses: Purses) -> None:
    purse = purses(SpendingLimits({EVERYTHING: {"hour": 100}, CHAT: {"hour": 10}}))
    with pytest.raises(LimitReached):
        reserve(purse, 50)
    assert standing(purse) == [(0, 0), (0, 0)]


def test_other_tenants_have_a_limit_each(purses: Purses) -> None:
    purse = purses(SpendingLimits({ACME: {}, OTHERS: {"day": 10}}))
    reserve(purse, 10, tenant="b")
    reserve(purse, 7, tenant="a")
    reserve(purse, 10**6, tenant="acme")
    with pytest.raises(LimitReached, match="tenant b"):
        reserve(purse, 1, tenant="b")
    assert [(str(s.scope), s.left_nano_usd) for s in purse.status()] == [
        ("tenant *", 10),
        ("tenant a", 3),
        ("tenant b", 0),
    ]


def test_hundreds_of_tenants_are_served_together(database: Database, purses: Purses) -> None:
    purse = purses(SpendingLimits({OTHERS: {"hour": 10, "day": 10}}))
    futures = [purse.reserve(Wanted(4, 4, "chat", f"tenant-{n:03}")) for n in range(450)]
    for number, future in enumerate(futures):
        purse.settle(future.result(), number % 5)
    purse.close()
    left = [status.left_nano_usd for status in purse.status()[2:]]
    assert left == [10 - number % 5 for number in range(450) for _ in ("hour", "day")]


def test_an_unknown_cost_is_charged_as_all_that_was_granted(purses: Purses) -> None:
    purse = purses(HUNDRED)
    purse.settle(reserve(purse, 60), None).result()
    assert standing(purse) == [(60, 0)]


def test_what_is_dearer_than_granted_is_charged_and_leaves_nothing(purses: Purses) -> None:
    purse = purses(HUNDRED)
    purse.settle(reserve(purse, 60), 170).result()
    assert standing(purse) == [(170, 0)]
    assert purse.status()[0].left_nano_usd == 0
    with pytest.raises(LimitReached):
        reserve(purse, 1)
    assert reserve(purse, 0).granted_nano_usd == 0


def test_what_is_released_costs_nothing(purses: Purses) -> None:
    purse = purses(HUNDRED)
    purse.release(reserve(purse, 60)).result()
    assert standing(purse) == [(0, 0)]


def test_settling_twice_charges_once(purses: Purses) -> None:
    purse = purses(HUNDRED)
    reservation = reserve(purse, 60)
    for _ in range(2):
        purse.settle(reservation, 60).result()
    both = [purse.settle(reserve(purse, 10), 5)] * 2
    assert [future.result() for future in both] == [None, None]
    assert standing(purse) == [(65, 0)]


def test_expired_reservations_do_not_count_and_are_freed_by_whoever_reserves_next(
    database: Database, purses: Purses
) -> None:
    dead, alive = purses(HUNDRED), purses(HUNDRED)
    for _ in range(3):
        reserve(dead, 30)
    let_expire(database)
    assert standing(alive) == [(0, 0)]
    assert count(database) == 3
    assert reserve(alive, 100).granted_nano_usd == 100
    assert (standing(alive), count(database)) == ([(0, 100)], 1)


def test_what_settles_after_it_was_freed_is_charged_all_the_same(database: Database, purses: Purses) -> None:
    purse = purses(HUNDRED, ttl_s=0.0)
    late, later = reserve(purse, 30), reserve(purse, 20)
    purse.settle(late, 30).result()
    assert standing(purse) == [(30, 0)]
    assert count(database) == 0
    purse.settle(later, 20).result()
    assert standing(purse) == [(50, 0)]


def test_extended_reservations_live_on(database: Database, purses: Purses) -> None:
    purse = purses(HUNDRED)
    reservation = reserve(purse, 30)
    let_expire(database)
    extended = purse.extend(reservation).result()
    assert (extended.id, extended.granted_nano_usd, extended.windows) == (reservation.id, 30, reservation.windows)
    assert standing(purse) == [(0, 30)]
    let_expire(database)
    purse.release(reserve(purse, 1)).result()
    assert purse.extend(extended).result() == extended
    assert standing(purse) == [(0, 0)]


def test_a_window_is_charged_in_which_money_was_reserved_also_when_it_has_ended(purses: Purses) -> None:
    purse, next_hour = purses(HUNDRED), purses(HUNDRED, at=NOON + timedelta(hours=1))
    reservation = reserve(purse, 60)
    assert reserve(next_hour, 100).granted_nano_usd == 100
    next_hour.settle(reservation, 50).result()
    assert (standing(purse), standing(next_hour)) == ([(50, 0)], [(0, 100)])


def test_what_nothing_was_reserved_for_can_be_charged(purses: Purses) -> None:
    purse = purses(SpendingLimits({EVERYTHING: {"hour": 100}, CHAT: {"month": 500}, ACME: {"hour": 7}}))
    purse.charge("chat", "acme", 120).result()
    purse.charge("code", None, 5).result()
    assert standing(purse) == [(125, 0), (120, 0), (120, 0)]


def test_without_a_limit_nothing_is_asked_of_the_database(database: Database, purses: Purses) -> None:
    free, of_chat = purses(SpendingLimits()), purses(SpendingLimits({CHAT: {"hour": 10}}))
    assert (free.limited, of_chat.limited) == (False, True)
    for purse, use_case in ((free, "chat"), (of_chat, "code")):
        future = purse.reserve(Wanted(60, 10, use_case))
        assert future.done()
        reservation = future.result()
        assert reservation.granted_nano_usd == 60
        assert purse.settle(reservation, None).done()
        assert purse.extend(reservation).done()
        assert purse.charge(use_case, None, 3).done()
    assert free.status() == []
    assert threading.active_count() == 1


def test_other_limits_hold_from_the_next_reservation_on(purses: Purses) -> None:
    purse = purses(HUNDRED)
    reservation = reserve(purse, 60)
    purse.reload(SpendingLimits({EVERYTHING: {"hour": 200, "day": 150}}))
    purse.settle(reservation, 50).result()
    assert reserve(purse, 500, least=1).granted_nano_usd == 150
    assert standing(purse) == [(50, 150), (0, 150)]


def test_many_threads_reserve_no_more_than_there_is(purses: Purses) -> None:
    """Two purses, six threads: 40 wishes of 7 of 100, so 14 are granted, and the rest of 2 is left."""
    pair = purses(HUNDRED), purses(HUNDRED)
    granted: list[int] = []

    def work(thread: int) -> None:
        futures = [pair[(thread + n) % 2].reserve(Wanted(7, 7, "chat")) for n in range(20)]
        granted.extend(f.result().granted_nano_usd for f in futures if f.exception() is None)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert granted == [7] * 14
    assert standing(pair[0]) == [(0, 98)]
