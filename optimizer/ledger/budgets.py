"""One transaction of spending: what is to be extended, settled, charged and reserved, all under one lock.

On SQLite a write transaction is alone; on Postgres an advisory lock makes it so. Nobody changes a window between its
being looked at and written, so what is spent and reserved cannot pass a limit, and there is no order of locks to get
wrong. Whoever transacts next frees what has expired by the database's clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection, and_, or_, select, text

from optimizer.decision.limits import LimitedWindow, grant
from optimizer.errors import LimitReached
from optimizer.ledger.reservations import (
    Charge,
    Extend,
    Group,
    Order,
    Outcome,
    Reservation,
    Reserve,
    Settle,
    WindowKey,
    chunks,
    delete_reservations,
    expired_reservations,
    key_of,
    keys_of,
    last_number,
    mark,
    reservation_row,
    standing_reservations,
)
from optimizer.ledger.statements import Statements
from optimizer.ledger.tables import budgets

_ADVISORY_KEY = 0x6F7263_68_03
_MOST_NANO_USD = 10**15  # a million dollars: an attempt that is said to cost more is told wrong
_MARK_KEPT_US = 7 * 86_400 * 1_000_000  # after the last order of a teller: the longest that a journal may wait
_FULL = 2**62  # no sum of such costs may leave what the column holds


class Balance(NamedTuple):
    """What stands in a window."""

    spent_nano_usd: int = 0
    reserved_nano_usd: int = 0


def balances(connection: Connection, keys: Iterable[WindowKey]) -> dict[WindowKey, Balance]:
    """Return what stands in these windows: nothing where nobody has reserved yet."""
    wanted = sorted(set(keys))
    found = dict.fromkeys(wanted, Balance())
    b = budgets.c
    key = b.scope_kind, b.scope_name, b.window_kind, b.start_at_us
    query = select(*key, b.spent_nano_usd, b.reserved_nano_usd)
    for chunk in chunks(wanted):
        # Not a comparison of tuples, for which SQLite would read the whole table.
        rows = or_(*(and_(*(column == part for column, part in zip(key, each, strict=True))) for each in chunk))
        for row in connection.execute(query.where(rows)):
            found[WindowKey(*row[:4])] = Balance(*row[4:])
    return found


class BudgetBatch:
    """Orders that are carried out together; what is given back makes room for what is asked in the same breath."""

    def __init__(self, connection: Connection, statements: Statements, orders: Sequence[Order], *, ttl_us: int) -> None:
        _lock(connection)
        self._connection = connection
        self._statements = statements
        self._orders = orders
        self._now_us, expired = expired_reservations(connection)
        self._expires_at_us = self._now_us + ttl_us
        self._expired = {r.id: r for r in expired}
        ids = (order.reservation.id for order in orders if isinstance(order, Settle | Extend))
        self._standing = {r.id: r for r in standing_reservations(connection, ids)}
        keys = {*keys_of(orders), *(key for r in (*expired, *self._standing.values()) for key in r.windows)}
        self._before = balances(connection, keys)
        self._balances = dict(self._before)
        self._made: dict[str, Reservation] = {}
        self._gone: set[str] = set()
        self._outcomes: dict[int, Outcome] = {}

    def write(self, groups: Iterable[Group] = ()) -> list[Outcome]:
        """Carry all orders out and return what each came to, in their order; one that does not fit fails alone.

        The numbers of `groups` are noted as those last charged by their tellers.
        """
        for number, order in enumerate(self._orders):
            if isinstance(order, Extend):
                self._outcomes[number] = self._extend(order.reservation)
        for order in self._orders:
            if isinstance(order, Settle):
                self._settle(order)
            elif isinstance(order, Charge):
                self._add(order.windows, spent=order.cost_nano_usd)
        for reservation in self._expired.values():
            self._free(reservation)
        for number, order in enumerate(self._orders):
            if isinstance(order, Reserve):
                self._outcomes[number] = self._reserve(order)
        for group in groups:
            noted = mark(group, self._now_us + _MARK_KEPT_US)
            self._made[noted.id] = noted
            self._gone.discard(noted.id)
        self._write_rows()
        return [self._outcomes.get(number) for number in range(len(self._orders))]

    def _extend(self, reservation: Reservation) -> Reservation:
        """Return the reservation with its new expiry; one that was freed stays so, and is charged when it settles."""
        known = self._standing.get(reservation.id)
        if known is None:
            return reservation
        extended = replace(known, expires_at_us=self._expires_at_us)
        self._standing[known.id] = self._made[known.id] = extended
        self._expired.pop(known.id, None)
        return extended

    def _settle(self, order: Settle) -> None:
        reservation = order.reservation
        known = self._standing.pop(reservation.id, None)
        if known is not None:
            self._expired.pop(known.id, None)
            self._free(known)
        elif reservation.id in self._gone or reservation.expires_at_us > self._now_us:
            return  # nobody else may have freed it, so it is settled, as by an order whose answer got lost
        self._add(reservation.windows, spent=order.cost_nano_usd)

    def _free(self, reservation: Reservation) -> None:
        self._gone.add(reservation.id)
        self._made.pop(reservation.id, None)
        self._add(reservation.windows, reserved=-reservation.granted_nano_usd)

    def _reserve(self, order: Reserve) -> Reservation | LimitReached:
        try:
            granted = grant(order.wanted, ((limited, self._left(limited)) for limited in order.limited))
        except LimitReached as refusal:
            return refusal
        keys = tuple(map(key_of, order.limited))
        self._add(keys, reserved=granted)
        made = self._made[order.id] = Reservation(order.id, granted, keys, self._expires_at_us)
        return made

    def _left(self, limited: LimitedWindow) -> int:
        return limited.limit_nano_usd - sum(self._balances[key_of(limited)])

    def _add(self, keys: Iterable[WindowKey], *, spent: int = 0, reserved: int = 0) -> None:
        for key in keys:
            before = self._balances[key]
            total = min(before.spent_nano_usd + min(spent, _MOST_NANO_USD), _FULL)
            self._balances[key] = Balance(total, before.reserved_nano_usd + reserved)

    def _write_rows(self) -> None:
        changed = {key: balance for key, balance in self._balances.items() if balance != self._before[key]}
        self._statements.budget.run(self._connection, [(*key, *balance) for key, balance in sorted(changed.items())])
        self._statements.reservation.run(self._connection, list(map(reservation_row, self._made.values())))
        delete_reservations(self._connection, self._gone)


def charge_groups(connection: Connection, statements: Statements, groups: Sequence[Group], *, ttl_us: int) -> None:
    """Charge those groups, in the order of their numbers, that are not charged yet."""
    _lock(connection)
    charged = {teller: last_number(connection, teller) for teller in {group.teller for group in groups}}
    new = [group for group in groups if group.number > charged[group.teller]]
    if new:
        orders = [order for group in new for order in group.orders]
        BudgetBatch(connection, statements, orders, ttl_us=ttl_us).write(new)


def _lock(connection: Connection) -> None:
    """Hold all others who transact until the transaction ends."""
    if connection.dialect.name != "sqlite":  # there, a write transaction is alone anyway
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})
