"""The catalogue at the prices in force: what its files say, and what the ledger has seen lists to name since."""

from datetime import datetime

from optimizer.catalog import Catalog
from optimizer.ledger.database import Database
from optimizer.ledger.prices import read_prices

_REREAD_S = 60.0


class Prices:
    """Keeps the catalogue's prices up to date, for whoever asks from time to time.

    Attributes
    ----------
    catalog : Catalog
        As of the last reading.
    """

    def __init__(self, catalog: Catalog, database: Database) -> None:
        self.catalog = catalog
        self._database = database
        self._read_at: datetime | None = None

    def read(self, now: datetime) -> bool:
        """Look into the ledger, at most once a minute, and return whether the catalogue is another one now."""
        if self._read_at is not None and (now - self._read_at).total_seconds() < _REREAD_S:
            return False
        found = self.catalog.with_prices(read_prices(self._database))
        self._read_at = now
        if found.seen == self.catalog.seen:
            return False
        self.catalog = found
        return True
