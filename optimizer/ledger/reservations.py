"""Money set aside, the windows it is set aside in, and what can be ordered of it; as values and as rows."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, delete, select

from optimizer.decision.limits import LimitedWindow, Wanted
from optimizer.errors import LimitReached
from optimizer.ledger.rows import Row, to_us
from optimizer.ledger.tables import now_us, reservations

T = TypeVar("T")

_CHUNK = 200


class WindowKey(NamedTuple):
    """The key of a row of `budgets`."""

    scope_kind: str
    scope_name: str
    window_kind: str
    start_at_us: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money set aside for an attempt.

    Attributes
    ----------
    granted_nano_usd : int
        What the attempt may cost at worst, between the least and the most that was wanted.
    windows : tuple of WindowKey
        Where it is set aside; empty where no limit applies.
    expires_at_us : int
        When it is freed unless it is settled or extended, by the database's clock.
    """

    id: str
    granted_nano_usd: int
    windows: tuple[WindowKey, ...] = ()
    expires_at_us: int = 0


@dataclass(frozen=True, slots=True)
class Reserve:
    """An order to set money aside in the windows of every limit that applies."""

    id: str
    wanted: Wanted
    limited: tuple[LimitedWindow, ...]


@dataclass(frozen=True, slots=True)
class Settle:
    """An order to give back what is reserved, and charge what it came to."""

    reservation: Reservation
    cost_nano_usd: int


@dataclass(frozen=True, slots=True)
class Charge:
    """An order to charge what nothing was reserved for."""

    windows: tuple[WindowKey, ...]
    cost_nano_usd: int


@dataclass(frozen=True, slots=True)
class Extend:
    """An order to let a reservation live as long from now as a new one."""

    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Group:
    """Orders that one teller has charged, or is to charge, in one transaction.

    Attributes
    ----------
    number : int
        Each teller counts its own; the last one that is charged stands in the database.
    """

    teller: str
    number: int
    orders: tuple[Settle | Charge, ...] = ()


Order = Reserve | Settle | Charge | Extend
Outcome = Reservation | LimitReached | None  # None: settled, charged


def key_of(limited: LimitedWindow) -> WindowKey:
    """Return the row of a limit's window."""
    return WindowKey(*limited.scope, limited.window.kind, to_us(limited.window.start))


def keys_of(orders: Iterable[Order]) -> Iterator[WindowKey]:
    """Yield the rows of all windows that the orders are about."""
    for order in orders:
        if isinstance(order, Settle | Extend):
            yield from order.reservation.windows
        elif isinstance(order, Charge):
            yield from order.windows
        else:
            yield from map(key_of, order.limited)


def standing_reservations(connection: Connection, ids: Iterable[str]) -> list[Reservation]:
    """Return those of the reservations that are neither settled nor freed."""
    r = reservations.c
    queries = (select(*r).where(r.reservation_id.in_(chunk)) for chunk in chunks(sorted(set(ids))))
    return [_reservation(*row) for query in queries for row in connection.execute(query)]


def expired_reservations(connection: Connection) -> tuple[int, list[Reservation]]:
    """Return the database's time, and every reservation that it has outlived."""
    now = select(now_us(connection.dialect).label("us")).subquery()
    r = reservations.c
    query = select(now.c.us, *r).select_from(now.outerjoin(reservations, r.expires_at_us <= now.c.us))
    rows = connection.execute(query).all()
    return rows[0][0], [_reservation(*row[1:]) for row in rows if row[1] is not None]


def delete_reservations(connection: Connection, ids: Iterable[str]) -> None:
    """Delete what is settled or freed."""
    for chunk in chunks(sorted(ids)):
        connection.execute(delete(reservations).where(reservations.c.reservation_id.in_(chunk)))


def last_number(connection: Connection, teller: str) -> int:
    """Return the number of the last group that a teller has charged; 0 where nobody knows."""
    r = reservations.c
    return connection.scalar(select(r.granted_nano_usd).where(r.reservation_id == _mark_of(teller))) or 0


def mark(group: Group, expires_at_us: int) -> Reservation:
    """Return the row that keeps the number of a teller's last group: a reservation of nothing, in no window."""
    return Reservation(_mark_of(group.teller), group.number, (), expires_at_us)


def _mark_of(teller: str) -> str:
    return f"teller {teller}"


def reservation_row(reservation: Reservation) -> Row:
    """Return the row of `reservations`."""
    return reservation.id, reservation.granted_nano_usd, reservation.expires_at_us, json.dumps(reservation.windows)


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the items, as many at a time as go into one query."""
    return (items[begin : begin + _CHUNK] for begin in range(0, len(items), _CHUNK))


def _reservation(reservation_id: str, granted: int, expires_at_us: int, windows: str) -> Reservation:
    return Reservation(reservation_id, granted, tuple(WindowKey(*key) for key in json.loads(windows)), expires_at_us)
