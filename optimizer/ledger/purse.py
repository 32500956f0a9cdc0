"""Spends within limits: sets money aside before an attempt, and settles what it came to."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from uuid_utils import uuid7

from optimizer.decision.limits import SpendingLimits, Wanted
from optimizer.ledger.database import Database
from optimizer.ledger.journal import Place
from optimizer.ledger.limits import LimitStatus, limit_status
from optimizer.ledger.reservations import Charge, Extend, Reservation, Reserve, Settle, key_of
from optimizer.ledger.teller import Teller

TTL_S = 300.0


class Purse:
    """Keeps every limit, together with all other processes at the same database; for any thread.

    Where no limit applies to a call, nothing is asked of the database, and futures are done at once. Otherwise one
    thread carries out what is ordered, in groups. While the database is away, what is to be reserved is refused
    (`LedgerUnavailable`); what is settled or charged goes to the journal, from where it is charged once, later, also
    where this process is killed. Without a journal it is kept in memory, and its future says so.

    Parameters
    ----------
    clock : callable
        The time, aware: which windows a call falls into. Expiry goes by the database's own clock.
    ttl_s : float
        How long money stays set aside for a process that was killed; attempts that last longer must be extended.
    place : Place, optional
        Where the journal lies; None does without.
    """

    def __init__(
        self,
        database: Database,
        limits: SpendingLimits,
        *,
        clock: Callable[[], datetime],
        ttl_s: float = TTL_S,
        place: Place | None = None,
    ) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock
        self._teller = Teller(database, ttl_us=round(ttl_s * 1e6), place=place)

    @property
    def limited(self) -> bool:
        """Whether there is any limit; without one, reserving is free."""
        return bool(self._limits)

    @property
    def n_journaled(self) -> int:
        """Groups of costs that wait in the journal."""
        return self._teller.n_journaled

    def limits(self, use_case: str, tenant: str | None) -> bool:
        """Return whether any limit applies to a call."""
        return self.limited and bool(self._limits.applying(use_case, tenant, self._clock()))

    def reserve(self, wanted: Wanted) -> "Future[Reservation]":
        """Set aside what an attempt may cost at worst, or as much of it as the limits leave.

        Cancelling the future gives back what it would have come to; so does `abandon`, whatever has become of it.

        Raises
        ------
        LimitReached
            By the future, if not even the least fits.
        LedgerUnavailable
            By the future, if the database is away or the purse is closed.
        """
        limited = self._limits.applying(wanted.use_case, wanted.tenant, self._clock())
        if not limited:
            return _done(Reservation("", wanted.most_nano_usd))
        return self._teller.submit(Reserve(str(uuid7()), wanted, limited))

    def settle(self, reservation: Reservation, cost_nano_usd: int | None) -> "Future[None]":
        """Charge what an attempt came to, once, and give back what was set aside for it.

        What is unknown (None) is charged as all that was granted. The windows charged are those it was reserved in,
        also when they have ended; what is dearer than granted, or late, is charged all the same.
        """
        cost = reservation.granted_nano_usd if cost_nano_usd is None else max(cost_nano_usd, 0)
        return self._teller.submit(Settle(reservation, cost)) if reservation.windows else _done(None)

    def release(self, reservation: Reservation) -> "Future[None]":
        """Give back all that was set aside: nothing was spent."""
        return self.settle(reservation, 0)

    def extend(self, reservation: Reservation) -> "Future[Reservation]":
        """Let a reservation live as long from now as a new one; go on with what the future returns.

        One that has been freed meanwhile is not set aside again, only charged in the end.
        """
        return self._teller.submit(Extend(reservation)) if reservation.windows else _done(reservation)

    def charge(self, use_case: str, tenant: str | None, cost_nano_usd: int) -> "Future[None]":
        """Charge a call for which nothing was reserved, as one that its caller made alone."""
        limited = self._limits.applying(use_case, tenant, self._clock())
        if not limited:
            return _done(None)
        return self._teller.submit(Charge(tuple(map(key_of, limited)), max(cost_nano_usd, 0)))

    def abandon(self, future: "Future[Reservation]") -> None:
        """Give back what `reserve` comes to, now or later; for callers who are cancelled while they wait for it."""
        future.cancel()
        future.add_done_callback(self._release_result)

    def status(self) -> list[LimitStatus]:
        """Return how every limit stands now; reads the database."""
        return limit_status(self._database, self._limits, self._clock())

    def reload(self, limits: SpendingLimits, *, ttl_s: float = TTL_S) -> None:
        """Go by other limits from now on; what is reserved settles where it was reserved."""
        self._limits = limits
        self._teller.keep_for(round(ttl_s * 1e6))

    def flush(self) -> None:
        """Wait until everything that was settled and charged is in the ledger; `LedgerUnavailable` if it is away."""
        if self.limited:
            self._teller.flush()

    def close(self) -> None:
        """Carry out what waits and end the thread; safe to call twice.

        Raises
        ------
        LedgerUnavailable
            If neither database nor journal take what waits; the message counts what was not charged.
        """
        self._teller.close()

    def _release_result(self, future: "Future[Reservation]") -> None:
        if not future.cancelled() and future.exception() is None:
            self.release(future.result())


def _done(result: Any) -> "Future[Any]":  # noqa: ANN401 - a reservation or nothing
    future: Future[Any] = Future()
    future.set_result(result)
    return future
