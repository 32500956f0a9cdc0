"""The one thread per process that writes the ledger: facts in from any thread, groups of them committed together."""

import atexit
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from threading import Condition, Lock, Thread
from typing import Literal

from optimizer.errors import LedgerUnavailable, OptimizerError
from optimizer.ledger.batch import Fact, RuleOf
from optimizer.ledger.committer import AWAY, Committer
from optimizer.ledger.database import Database
from optimizer.ledger.detour import Detour, Outcomes
from optimizer.ledger.journal import Place
from optimizer.ledger.receipt import Receipt
from optimizer.ledger.records import Facts, FactsCodec

Durability = Literal["sync", "batched"]

LINGER_S = 0.05
GROUP_FACTS = 500  # as many waiting facts are committed at once
MOST_FACTS = 10_000  # in one transaction, when they come faster than they are written
CAPACITY = 50_000  # facts in memory
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0

_log = logging.getLogger(__name__)


class Writer:
    """Takes facts at once and writes them a little later, in the order in which they came.

    A group is committed when 500 facts wait or the first has waited for 50 ms; in `sync`, as soon as the group before
    it is written. Its receipts are done then. A caller gets from `submit(...).result()`, or by `await`:

    - nothing: the facts are in the database, or were already (repeats change nothing); or the database is away and
      they are in the journal, on this machine's disk, from where they are written once when it is back;
    - `UnknownCall`, `InvalidRating`, `InvalidRequest` or a plain `LedgerError`: these facts are refused, and none of
      the same submission is written; their neighbours are. What the database refuses only after it was away, such as
      a rating of a call that never was, is told to the log alone;
    - `LedgerUnavailable` or another error of the whole database: not written *yet*, and no journal takes them either.
      The facts stay in line, in memory, and are tried again with growing pauses until they are written or the process
      ends. Submitting them again is harmless.

    Memory holds at most `capacity` facts. When they are that many, `submit` waits for room; while neither database nor
    journal takes them it does not wait but raises `LedgerUnavailable`, and the facts are the caller's again.

    Parameters
    ----------
    rule_of : callable
        Use case → its reward rule, for any use case that the ledger holds. When rules change, run `rebuild`.
    durability : {"sync", "batched"}
        Whether groups wait for company. In both, what a receipt says is written survives the end of the process.
    keep_features : bool
        Whether raw request features are stored.
    place : Place, optional
        Where the journal lies; what dead processes have left there is written first. None does without.

    Raises
    ------
    LedgerUnavailable
        If the database is read-only or locked, already now.
    """

    def __init__(
        self,
        database: Database,
        rule_of: RuleOf,
        *,
        durability: Durability = "batched",
        keep_features: bool = False,
        capacity: int = CAPACITY,
        place: Place | None = None,
    ) -> None:
        database.check_writable()
        self._committer = Committer(database, rule_of, keep_features=keep_features)
        self._detour: Detour[Facts] | None = None
        if place is not None:
            again = Committer(database, rule_of, keep_features=keep_features)
            codec = partial(FactsCodec, keep_features=keep_features)
            self._detour = Detour(place, codec, partial(again.commit, careful=True), what="facts")
            self._detour.adopt()
        self.use(durability)
        self._capacity = capacity
        self._group = min(GROUP_FACTS, capacity)
        self._lock = Lock()
        self._work = Condition(self._lock)  # the thread waits here,
        self._settled = Condition(self._lock)  # and callers here, for their outcome or for room
        self._queue: deque[Receipt] = deque()
        self._n_facts = 0
        self._urgent = False
        self._closing = False
        self._failure: OptimizerError | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._thread = Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()
        atexit.register(self._close_at_exit)

    def use(self, durability: Durability) -> None:
        """Let groups wait for company, or not, from now on."""
        self._linger_s = LINGER_S if durability == "batched" else 0.0

    @property
    def is_away(self) -> bool:
        """Whether the database was away when it was last tried."""
        return self._failure is not None or self.is_journaling

    @property
    def has_journal(self) -> bool:
        """Whether facts have somewhere to go while the database is away."""
        return self._detour is not None

    @property
    def is_journaling(self) -> bool:
        """Whether facts go to the journal now."""
        return self._detour is not None and self._detour.is_open

    @property
    def n_journaled(self) -> int:
        """Submissions that wait in the journal."""
        return 0 if self._detour is None else self._detour.n_waiting

    def submit(self, *facts: Fact) -> Receipt:
        """Take facts that belong together, written all or none; the receipt is done when they are committed.

        Raises
        ------
        LedgerUnavailable
            If the writer is closed, or full while the database is away.
        """
        receipt = Receipt(facts, self._settled)
        with self._lock:
            while self._n_facts >= self._capacity and not self._closing:
                if self._failure is not None:
                    raise LedgerUnavailable(f"{self._n_facts} facts wait in memory already: {self._failure}")
                self._settled.wait()
            if self._closing:
                raise LedgerUnavailable("the ledger's writer is closed")
            self._queue.append(receipt)
            self._n_facts += len(facts)
            if len(self._queue) == 1 or self._n_facts >= self._group:
                self._work.notify()
        return receipt

    def flush(self) -> None:
        """Wait until everything submitted so far is written or refused; raise if the database is away."""
        end = self.submit()
        with self._lock:
            self._urgent = True
            self._work.notify()
        end.result()
        if self._detour is not None:
            self._detour.flush()

    def close(self) -> None:
        """Write what waits and end the thread; safe to call twice.

        Raises
        ------
        LedgerUnavailable
            If neither database nor journal take what waits; the message counts the facts that are lost.
        """
        atexit.unregister(self._close_at_exit)
        with self._lock:
            self._closing = True
            self._work.notify()
            self._settled.notify_all()
        self._thread.join()
        if self._detour is not None:
            self._detour.close()
        lost, self._n_facts = self._n_facts, 0
        if lost:
            raise LedgerUnavailable(f"{lost} facts were not written: {self._failure}")

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except OptimizerError as error:
            _log.error("%s", error)

    def _run(self) -> None:
        while batch := self._next():
            try:
                outcomes = self._written(batch)
            except AWAY as error:
                if not self._hold(error):
                    return
            else:
                self._failure, self._pause_s = None, _FIRST_PAUSE_S
                self._settle(batch, outcomes)

    def _next(self) -> list[Receipt]:
        """Wait for a group and return it, still in line; nothing once the writer is closed and all is written."""
        with self._lock:
            self._work.wait_for(lambda: self._queue or self._closing)
            if self._linger_s:
                self._work.wait_for(self._group_is_due, timeout=self._linger_s)
            n_facts = 0
            batch = []
            for receipt in self._queue:
                batch.append(receipt)
                n_facts += len(receipt.facts)
                if n_facts >= MOST_FACTS:
                    break
            return batch

    def _group_is_due(self) -> bool:
        return self._n_facts >= self._group or self._urgent or self._closing

    def _written(self, batch: Sequence[Receipt]) -> Outcomes:
        """Write a batch to the database or, while it is away, to the journal."""
        facts = [receipt.facts for receipt in batch]
        if self._detour is None:
            return self._committer.commit(facts, careful=self._failure is not None)
        journaled = self._detour.take(facts)
        if journaled is not None:
            return journaled
        try:
            return self._committer.commit(facts, careful=self._failure is not None)
        except AWAY as error:
            return self._detour.begin(facts, error)

    def _settle(self, batch: Sequence[Receipt], outcomes: Sequence[OptimizerError | None]) -> None:
        """Take a batch out of the line and tell its callers."""
        with self._lock:
            for receipt, error in zip(batch, outcomes, strict=True):
                self._queue.popleft()
                self._n_facts -= len(receipt.facts)
                receipt.facts = ()
                if not receipt.settle(error) and error is not None:
                    _log.warning("Facts that had waited in memory are refused: %s", error)
            self._urgent = self._urgent and bool(self._queue)
            self._settled.notify_all()
        for receipt in batch:
            if receipt.watched:
                receipt.tell()

    def _hold(self, error: OptimizerError) -> bool:
        """Keep everything in line, tell all who wait, and pause; return whether to go on."""
        with self._lock:
            if self._failure is None:
                _log.warning("Facts wait in memory: %s", error)
            self._failure = error
            self._urgent = False
            waiting = list(self._queue)
            for receipt in waiting:
                receipt.settle(error)
            self._settled.notify_all()
        for receipt in waiting:
            receipt.tell()
        with self._lock:
            if self._closing:
                return False
            self._work.wait_for(lambda: self._closing, timeout=self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return True
