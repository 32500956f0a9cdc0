"""The API keys of a database as they were a moment ago, so that no request waits for the database to be let in."""

import asyncio
import hmac
import logging
from collections.abc import Callable
from datetime import datetime
from time import monotonic

from optimizer.errors import LedgerError
from optimizer.ledger.api_keys import ApiKey, hash_of, id_of, note_use, read_keys
from optimizer.ledger.database import Database

REREAD_S = 2.0  # a key that is revoked is let in for this long, and the time that reading takes
LONGEST_WAIT_S = 1.0  # for the database; after that, the keys known last go on
_NOBODYS = hash_of("")

_log = logging.getLogger(__name__)


class KnownKeys:
    """Keys by id, read again when they are asked for and older than two seconds; for one event loop.

    Parameters
    ----------
    clock : callable
        Returns the aware time now.
    timer : callable
        Returns seconds that only go forward.

    Attributes
    ----------
    none_exists : bool
        Whether no key was ever made here. Once one was seen it stays False, whatever becomes of the rows: a door that
        was closed does not open by itself.

    Raises
    ------
    LedgerError
        If the keys cannot be read the first time.
    """

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime], timer: Callable[[], float] = monotonic
    ) -> None:
        self._database = database
        self._clock = clock
        self._timer = timer
        self._keys: dict[str, ApiKey] = {}
        self._used: dict[str, None] = {}
        self._away = False
        self._reading: asyncio.Future[None] | None = None
        self._began_at = 0.0
        self.none_exists = True
        self._read()
        self._read_at = timer()

    async def find(self, key: str) -> ApiKey | None:
        """Return the key with this text if it opens anything now."""
        await self.refresh()
        found = self._keys.get(id_of(key) or "")
        # Compared also where no such key exists, so that the time it takes tells nothing.
        right = hmac.compare_digest(hash_of(key), _NOBODYS if found is None else found.hash)
        now = self._clock()
        if found is None or not right or not found.usable(now):
            return None
        if found.last_used_on != now.date():
            self._used[found.key_id] = None
        return found

    async def refresh(self) -> None:
        """Read the keys again if they are older than two seconds; wait for that for a second at most."""
        now = self._timer()
        if self._reading is None:
            if now - self._read_at < REREAD_S:
                return
            self._began_at = now
            self._reading = asyncio.get_running_loop().run_in_executor(None, self._reread)
            self._reading.add_done_callback(self._done)
        left_s = self._began_at + LONGEST_WAIT_S - now
        if left_s > 0:
            await asyncio.wait({self._reading}, timeout=left_s)

    async def aclose(self) -> None:
        """Wait until nothing is being read any more."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    def _done(self, reading: "asyncio.Future[None]") -> None:
        self._reading, self._read_at = None, self._timer()
        if not reading.cancelled() and (error := reading.exception()) is not None:
            _log.error("API keys stay as they were known last: %s", type(error).__name__)

    def _reread(self) -> None:
        try:
            self._read()
        except LedgerError as error:
            if not self._away:
                _log.warning("API keys stay as they were known last: %s", error)
            self._away = True
        else:
            self._away = False

    def _read(self) -> None:
        keys = {key.key_id: key for key in read_keys(self._database)}
        self._keys = keys
        self.none_exists = self.none_exists and not keys
        used = list(self._used)
        if used:
            note_use(self._database, used, self._clock().date())
            for key_id in used:
                self._used.pop(key_id, None)
