"""The way round a database that is away: into the journal at once, and from there into the database, in order."""

import logging
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Generic, TypeVar

from optimizer.errors import LedgerUnavailable, OptimizerError
from optimizer.ledger.committer import AWAY, refusal
from optimizer.ledger.journal import Codec, Journal, Place, adopted

T = TypeVar("T")
Outcomes = list[OptimizerError | None]

CHUNK = 1_000  # items in one transaction
_LAST = 200  # when fewer are left, newcomers wait until they are written, so that the end is reached
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0

_log = logging.getLogger(__name__)


class Detour(Generic[T]):
    """Closed while the database takes what it is given; opened by whoever finds it away.

    While it is open, everything goes through the journal, and one thread writes that to the database as soon as it is
    back, in the order in which it came. What is in the journal survives the process: whoever comes next adopts it.
    Writing the same item again must change nothing, for a process may die between the commit and the forgetting.

    Parameters
    ----------
    codec : callable
        Makes the codec of a file.
    commit : callable
        Writes items to the database and returns why not for those that it refuses; raises where it is away.
    """

    def __init__(
        self, place: Place, codec: Callable[[], Codec[T]], commit: Callable[[Sequence[T]], Outcomes], *, what: str
    ) -> None:
        self._place = place
        self._make_codec = codec
        self._journal: Journal[T] = Journal(place, codec)
        self._commit = commit
        self._what = what
        self._changed = Condition()
        self._open = False
        self._closing = False
        self._hurried = False
        self._failure: OptimizerError = LedgerUnavailable("not tried yet")
        self._n_failures = 0
        self._pause_s = _FIRST_PAUSE_S
        self._chunk: list[T] = []  # read, and not written yet
        self._thread: Thread | None = None

    @property
    def is_open(self) -> bool:
        """Whether things go this way now."""
        return self._open

    @property
    def n_waiting(self) -> int:
        """Items in the journal that are not in the database yet."""
        return self._journal.n_waiting

    def begin(self, items: Sequence[T], error: OptimizerError) -> Outcomes:
        """Open the way because of an error, and put items that the database did not take into the journal.

        Raises
        ------
        LedgerUnavailable
            If the journal cannot be written; the way stays closed then, unless it was open.
        """
        with self._changed:
            outcomes = self._journal.append(items)
            if not self._open:
                _log.warning(
                    "The database is away; %s go to a journal in %s: %s", self._what, self._place.folder, error
                )
                self._open, self._failure, self._pause_s = True, error, _FIRST_PAUSE_S
                self._thread = Thread(target=self._run, name=f"journal-{self._place.kind}", daemon=True)
                self._thread.start()
        return outcomes

    def take(self, items: Sequence[T]) -> Outcomes | None:
        """Put items into the journal if the way is open, and return why not for those that it cannot hold; else None.

        Raises
        ------
        LedgerUnavailable
            If the journal cannot be written.
        """
        if not self._open:
            return None
        with self._changed:
            return self._journal.append(items) if self._open else None

    def hurry(self) -> None:
        """Have the database tried again now."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until the journal is in the database; raise why it cannot be."""
        with self._changed:
            n_failures, self._hurried = self._n_failures, True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._open or self._closing or self._n_failures != n_failures)
            if self._open:
                raise self._failure

    def close(self) -> None:
        """Try once more, and let go of the journal; what is still in it waits there for whoever comes next."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        if self._journal.n_waiting:
            _log.warning("%d %s wait in %s for the next start", self.n_waiting, self._what, self._journal.path)
        self._journal.close()

    def adopt(self) -> None:
        """Write what dead processes have left in their journals; stops, and is silent, where the database is away."""
        try:
            for journal in adopted(self._place, self._make_codec):
                self._write_out(journal)
        except AWAY as error:
            _log.warning("What another process has left in its journal is not in the database yet: %s", error)

    def _write_out(self, journal: Journal[T]) -> None:
        n = 0
        try:
            while items := journal.read(CHUNK):
                self._write(items)
                journal.forget()
                n += len(items)
            journal.forget()
        finally:
            journal.close()
        if n:
            _log.warning("%d %s that another process had left in its journal are in the database now", n, self._what)

    # The thread

    def _run(self) -> None:
        while True:
            self._pause()
            last = self._closing
            try:
                self._empty()
            except AWAY as error:
                self._note(error)
            except Exception as error:  # noqa: BLE001 - this thread is the only way out of the journal
                self._note(refusal(error, "a journal"))
            else:
                self.adopt()  # of those who died while it was away
                return
            if last:
                return

    def _pause(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, timeout=_FIRST_PAUSE_S)
            left_s = self._pause_s - _FIRST_PAUSE_S
            self._changed.wait_for(lambda: self._closing or self._hurried, timeout=left_s)
            self._hurried = False

    def _note(self, error: OptimizerError) -> None:
        with self._changed:
            self._failure = error
            self._n_failures += 1
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._changed.notify_all()

    def _empty(self) -> None:
        """Write the journal to its end and close the way."""
        while self._journal.n_waiting > _LAST and self._step():
            pass
        with self._changed:  # nobody comes in between, so the order is kept
            while self._step():
                pass
            self._open = False
            _log.warning("The database is back; %s go there again", self._what)
            self._changed.notify_all()

    def _step(self) -> bool:
        """Write the next items, and return whether there were any; those that fail are the next ones again."""
        with self._changed:
            self._chunk = self._chunk or self._journal.read(CHUNK)
        if self._chunk:
            self._write(self._chunk)
        with self._changed:
            written, self._chunk = bool(self._chunk), []
            self._journal.forget()
        return written

    def _write(self, items: Sequence[T]) -> None:
        for error in self._commit(items):
            if error is not None:
                _log.warning("Of the %s that had waited in a journal, some are refused: %s", self._what, error)
