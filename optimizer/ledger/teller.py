"""The one thread per process that carries out orders of spending, from any thread, in groups committed together."""

import atexit
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from threading import Condition, Lock, Thread
from typing import Any

from uuid_utils import uuid7

from optimizer.errors import LedgerUnavailable, OptimizerError
from optimizer.ledger.budgets import BudgetBatch, charge_groups
from optimizer.ledger.committer import AWAY, refusal
from optimizer.ledger.database import Database
from optimizer.ledger.detour import Detour, Outcomes
from optimizer.ledger.journal import Place
from optimizer.ledger.records import CostsCodec
from optimizer.ledger.reservations import Charge, Group, Order, Reservation, Reserve, Settle
from optimizer.ledger.statements import Statements

MOST_ORDERS = 1_000  # in one transaction
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0

_log = logging.getLogger(__name__)


class _Entry:
    """An order in line, the future that its caller holds, and whether it needs to be carried out no more."""

    __slots__ = ("future", "order", "over")

    def __init__(self, order: Order) -> None:
        self.order = order
        self.future: Future[Any] = Future()
        self.over = False

    def tell(self, outcome: object) -> bool:
        """Make an outcome known and return whether somebody may hear it."""
        with suppress(InvalidStateError):  # cancelled, or told before that the database is away
            if isinstance(outcome, OptimizerError):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)
            return True
        return False


class Teller:
    """Takes orders at once; those that come while a transaction runs are carried out together in the next one.

    The thread begins with the first order. What is settled or charged is never forgotten: where the database is away,
    it goes to the journal, and its future is done; where there is no journal, its future says so, and it stays in line
    until it is written or the process ends. What is charged is numbered, in groups, and the database keeps the last
    number, so no group is charged twice, whatever dies between a commit and its answer.

    Parameters
    ----------
    place : Place, optional
        Where the journal lies; what dead processes have left there is charged first.
    """

    def __init__(self, database: Database, *, ttl_us: int, place: Place | None = None) -> None:
        self._database = database
        self._ttl_us = ttl_us
        self._statements = Statements(database.engine.dialect)
        self._lock = Lock()
        self._work = Condition(self._lock)
        self._queue: deque[_Entry] = deque()
        self._urgent = False  # somebody waits for an answer that decides what happens next
        self._failure: OptimizerError | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._closing = False
        self._thread: Thread | None = None
        self._name = str(uuid7())
        self._number = 0
        self._tried: list[_Entry] = []  # in a transaction whose end is not known,
        self._group = Group(self._name, 0)  # and what it would charge
        self._away: OptimizerError = LedgerUnavailable("the database is away")
        self._journaled_statements = Statements(database.engine.dialect)
        self._detour: Detour[Group] | None = None
        if place is not None:
            self._detour = Detour(place, CostsCodec, self._recommit, what="costs")
            self._detour.adopt()

    def keep_for(self, ttl_us: int) -> None:
        """Let what is set aside from now on expire after another time."""
        self._ttl_us = ttl_us

    @property
    def n_journaled(self) -> int:
        """Groups of costs that wait in the journal."""
        return 0 if self._detour is None else self._detour.n_waiting

    def flush(self) -> None:
        """Wait until everything that was settled and charged is in the database; raise if it is away."""
        self.submit(Charge((), 0)).result()
        if self._detour is not None:
            self._detour.flush()

    def submit(self, order: Order) -> "Future[Any]":
        """Take an order; the future has its outcome, or `LedgerUnavailable` where the teller is closed."""
        entry = _Entry(order)
        with self._lock:
            closed = self._closing
            if not closed:
                self._queue.append(entry)
                self._urgent = self._urgent or not isinstance(order, Settle | Charge)
                self._start()
                self._work.notify()
        if closed:
            entry.tell(LedgerUnavailable("spending is closed"))
        return entry.future

    def close(self) -> None:
        """Carry out what waits and end the thread; safe to call twice.

        Raises
        ------
        LedgerUnavailable
            If neither database nor journal take what waits; the message counts what was not charged.
        """
        with self._lock:
            self._closing = True
            self._work.notify()
        if self._thread is not None:
            atexit.unregister(self._close_at_exit)
            self._thread.join()
        if self._detour is not None:
            self._detour.close()
        lost = len(self._queue)
        self._queue.clear()
        if lost:
            raise LedgerUnavailable(f"{lost} costs were not charged to their limits: {self._failure}")

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except OptimizerError as error:
            _log.error("%s", error)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name="teller", daemon=True)
            self._thread.start()
            atexit.register(self._close_at_exit)

    def _run(self) -> None:
        while batch := self._next():
            try:
                if not self._taken(batch):
                    self._write(batch)
            except AWAY as error:
                if not self._begun(batch, error) and not self._hold(batch, error):
                    return
            else:
                self._failure, self._pause_s = None, _FIRST_PAUSE_S

    def _next(self) -> Sequence[_Entry]:
        """Wait for orders and take them out of the line; none once the teller is closed and all is carried out."""
        with self._lock:
            self._work.wait_for(lambda: self._queue or self._closing)
            self._urgent = False
            return [self._queue.popleft() for _ in range(min(len(self._queue), MOST_ORDERS))]

    def _write(self, batch: Sequence[_Entry]) -> None:
        """Carry out orders together; where the database refuses them, halve until what is wrong stands alone."""
        wanted = [entry for entry in batch if not (isinstance(entry.order, Reserve) and entry.future.cancelled())]
        try:
            self._commit(wanted)
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one order must not lose its neighbours
            if len(wanted) == 1:
                self._refuse(wanted[0], error)
                return
            half = len(wanted) // 2
            self._write(wanted[:half])
            self._write(wanted[half:])

    def _commit(self, batch: Sequence[_Entry]) -> None:
        if not batch:
            return
        orders = [entry.order for entry in batch]
        groups = self._noted(batch)
        # Spending of the last moment may be forgotten when the machine dies; in return a reservation on SQLite takes
        # 1 ms instead of 4, and sixteen processes at one limit do not keep one another out for seconds.
        with self._database.writing(durable=False) as connection:
            outcomes = BudgetBatch(connection, self._statements, orders, ttl_us=self._ttl_us).write(groups)
        self._tried = []
        for entry, outcome in zip(batch, outcomes, strict=True):
            entry.over = True
            if not entry.tell(outcome) and isinstance(entry.order, Reserve) and isinstance(outcome, Reservation):
                # Its caller was cancelled meanwhile. In line also where the teller is closed for others.
                with self._lock:
                    self._queue.append(_Entry(Settle(outcome, 0)))

    def _refuse(self, entry: _Entry, error: Exception) -> None:
        entry.over = True
        refused = refusal(error, "an order of spending")
        if not entry.tell(refused):
            _log.warning("A cost that had waited in memory is refused: %s", refused)

    # While the database is away

    def _taken(self, batch: Sequence[_Entry]) -> bool:
        """Put what is to be charged into the journal, and refuse the rest, if the way round is open."""
        if self._detour is None or not self._detour.is_open:
            return False
        if not all(isinstance(entry.order, Settle | Charge) for entry in batch):
            self._detour.hurry()
        if self._detour.take(self._one_by_one(batch)) is None:
            return False  # closed just now
        self._journaled(batch, self._away)
        return True

    def _begun(self, batch: Sequence[_Entry], error: OptimizerError) -> bool:
        """Open the way round and return whether the journal has all that is to be charged.

        What was tried stays one group under its number: it may be charged already.
        """
        if self._detour is None:
            return False
        left = [entry for entry in batch if not entry.over]
        tried = [self._group] if self._tried and self._group.orders else []
        groups = [*tried, *self._one_by_one(entry for entry in left if entry not in self._tried)]
        try:
            self._detour.begin(groups, error)
        except LedgerUnavailable as unwritable:
            _log.warning("Costs wait in memory: %s", unwritable)
            return False
        self._away, self._tried = error, []
        self._journaled(left, error)
        return True

    def _journaled(self, entries: Iterable[_Entry], error: OptimizerError) -> None:
        for entry in entries:
            entry.over = True
            entry.tell(None if isinstance(entry.order, Settle | Charge) else error)

    def _noted(self, batch: Sequence[_Entry]) -> tuple[Group, ...]:
        """Return what the database is to note of a transaction; nothing where no journal needs to know."""
        if self._detour is None:
            return ()
        self._tried = list(batch)
        self._group = self._next_group(batch)
        return (self._group,) if self._group.orders else ()

    def _one_by_one(self, entries: Iterable[_Entry]) -> list[Group]:
        return [self._next_group([entry]) for entry in entries if isinstance(entry.order, Settle | Charge)]

    def _next_group(self, entries: Iterable[_Entry]) -> Group:
        self._number += 1
        orders = tuple(entry.order for entry in entries if isinstance(entry.order, Settle | Charge))
        return Group(self._name, self._number, orders)

    def _recommit(self, groups: Sequence[Group]) -> Outcomes:
        """Charge what the journal holds, unless it is charged already; halve where the database refuses it."""
        try:
            with self._database.writing() as connection:
                charge_groups(connection, self._journaled_statements, groups, ttl_us=self._ttl_us)
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one order must not lose its neighbours
            if len(groups) == 1:
                return [refusal(error, "an order of spending")]
            half = len(groups) // 2
            return [*self._recommit(groups[:half]), *self._recommit(groups[half:])]
        return [None] * len(groups)

    def _hold(self, batch: Sequence[_Entry], error: OptimizerError) -> bool:
        """Keep what must be charged, tell all who wait, and pause; return whether to go on."""
        if self._failure is None:
            _log.warning("Spending is not written yet: %s", error)
        self._failure = error
        with self._lock:
            waiting = [entry for entry in (*batch, *self._queue) if not entry.over]
            self._queue = deque(_to_charge(waiting))
        for entry in waiting:
            entry.tell(error)
        with self._lock:
            if self._closing:
                return False
            self._work.wait_for(lambda: self._closing or self._urgent, timeout=self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return True


def _to_charge(entries: Iterable[_Entry]) -> Iterable[_Entry]:
    return (entry for entry in entries if isinstance(entry.order, Settle | Charge))
