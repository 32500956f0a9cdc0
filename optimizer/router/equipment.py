"""What a router works with as the settings ask for it: redactor, cache, shared flights; renewed where they change."""

from optimizer.calling.cache import ReplyCache
from optimizer.calling.redaction import Redactor
from optimizer.calling.singleflight import SingleFlight
from optimizer.engine import Optimizer
from optimizer.router.reply import Reply
from optimizer.settings import CacheSettings, RedactionSettings, Settings


class Equipment:
    """Made from the settings in force; `renew` looks whether they are others by now, `close` ends that."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._settings = optimizer.settings
        self._made: tuple[RedactionSettings, Redactor | None] | None = None
        self.redactor = self._redactor(self._settings)
        self.cache = self._cache(self._settings.cache)
        self.flights = _flights(self._settings.cache)
        self.close = optimizer.check_reloads(self._redactor)

    def renew(self) -> None:
        """Go by the settings in force; a cache of other settings begins empty."""
        settings, before = self._optimizer.settings, self._settings
        if settings is before:
            return
        self._settings = settings
        self.redactor = self._redactor(settings)
        if settings.cache != before.cache:
            self.cache, self.flights = self._cache(settings.cache), _flights(settings.cache)

    def _redactor(self, settings: Settings) -> Redactor | None:
        """Return what masks personal data, made once; raises where it cannot be made, so that nothing goes unmasked."""
        wanted = settings.redaction
        if self._made is None or self._made[0] != wanted:
            self._made = wanted, Redactor(wanted) if wanted.enabled else None
        return self._made[1]

    def _cache(self, settings: CacheSettings) -> ReplyCache[Reply] | None:
        return ReplyCache(settings, self._optimizer.clock) if settings.enabled else None


def _flights(settings: CacheSettings) -> SingleFlight[Reply] | None:
    return SingleFlight() if settings.deduplicate else None
