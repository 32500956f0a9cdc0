"""What the process keeps at hand of late: calls, and the models that sessions stay with."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from optimizer.errors import LedgerUnavailable
from optimizer.ledger.database import Database
from optimizer.ledger.sessions import SessionChoice, recall_session
from optimizer.selection import Selection

K = TypeVar("K")
V = TypeVar("V")

CAPACITY = 50_000

_log = logging.getLogger(__name__)


class Recent(Generic[K, V]):
    """The latest entries by key; older ones must be read from the ledger."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._capacity = capacity

    def get(self, key: K) -> V | None:
        """Return the entry, if it is recent enough."""
        return self._entries.get(key)

    def __contains__(self, key: K) -> bool:
        """Return whether there is such an entry."""
        return key in self._entries

    def keep(self, key: K, value: V) -> None:
        """Keep an entry in front of the others."""
        self._entries[key] = value
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


class Sessions:
    """Sticky choices: read from the ledger where memory has no entry, and told to it when they are made."""

    def __init__(self, database: Database, is_away: Callable[[], bool]) -> None:
        self._database = database
        self._is_away = is_away
        self._models: Recent[tuple[str, str], str] = Recent()

    def model_of(self, use_case: str, session_id: str) -> str | None:
        """Return the model that a session stays with, or None; where the ledger is away, memory alone is asked."""
        known = self._models.get((use_case, session_id))
        if known is not None or self._is_away():  # nobody waits for a database that others wait for already
            return known
        try:
            found = recall_session(self._database, use_case, session_id)
        except LedgerUnavailable as error:
            _log.warning("A session is decided anew: %s", error)
            return None
        if found is not None:
            self._models.keep((use_case, session_id), found)
        return found

    def kept(self, selection: Selection) -> tuple[SessionChoice, ...]:
        """Keep what a session drew; return what the ledger must remember: its first model, or the one it moved to."""
        session_id = selection.request.session_id
        if session_id is None or selection.propensity is None:
            return ()
        key = selection.use_case, session_id
        before = self._models.get(key)
        if selection.drawn_model_id == before:
            return ()
        self._models.keep(key, selection.drawn_model_id)
        return (SessionChoice(*key, selection.drawn_model_id, selection.decided_at, before),)
