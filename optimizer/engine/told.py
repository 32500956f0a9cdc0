"""What an optimizer is told goes on to its instruments, where there are any: facts, refreshes, and spending."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from optimizer.catalog import Catalog
from optimizer.decision.pacing import LimitUse
from optimizer.domain import NANO_USD, Attempt, Feedback
from optimizer.engine.pacing import Spend, limit_uses
from optimizer.engine.recent import Recent
from optimizer.ledger.batch import Fact
from optimizer.ledger.health import BreakerState
from optimizer.ledger.limits import LimitStatus
from optimizer.ledger.purse import Purse
from optimizer.ledger.writer import Writer
from optimizer.selection import Selection
from optimizer.settings import Settings
from optimizer.telemetry import Telemetry, open_telemetry

_log = logging.getLogger(__name__)


class Told:
    """Counts, and never fails: what cannot be counted is complained of once, and the call goes on.

    Parameters
    ----------
    recent : Recent
        Calls of late, by which attempts and ratings are known.
    """

    def __init__(self, telemetry: Telemetry | None, recent: Recent[str, Selection]) -> None:
        self._telemetry = telemetry
        self._recent = recent
        self._complained = False

    @classmethod
    def of(cls, settings: Settings, catalog: Catalog, recent: Recent[str, Selection]) -> "Told":
        """Return what counts as the settings say."""
        return cls(open_telemetry(settings, catalog), recent)

    def use(self, settings: Settings, catalog: Catalog) -> None:
        """Count as other settings say from now on; what is counted stays."""
        self._telemetry = open_telemetry(settings, catalog)

    def waiting(self, n_journaled: int) -> None:
        """Show how much waits in the journals, also while no evidence can be read."""
        if self._telemetry is not None:
            self._guarded(self._telemetry.journaled, n_journaled)

    def facts(self, facts: Iterable[Fact]) -> None:
        """Count facts on their way to the ledger; one that it refuses later, or knows already, is counted too."""
        if self._telemetry is not None:
            self._guarded(self._count, self._telemetry, facts)

    def refreshes(self, writer: Writer, purse: Purse) -> Callable[[datetime], None]:
        """Return what takes note of every reading of evidence, and of how much waits in the journals then."""

        def refreshed(at: datetime) -> None:
            if self._telemetry is not None:
                self._guarded(self._telemetry.refreshed, at, writer.n_journaled + purse.n_journaled)

        return refreshed

    def spend(self, purse: Purse) -> Spend:
        """Return what reads how far limits are used, for choices; what it reads is shown, too."""

        def spend() -> tuple[LimitUse, ...]:
            statuses = purse.status()
            if self._telemetry is not None:
                self._guarded(_show_limits, self._telemetry, statuses)
            return limit_uses(statuses)

        return spend

    def _count(self, telemetry: Telemetry, facts: Iterable[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, Selection):
                telemetry.chosen(fact)
            elif isinstance(fact, Attempt):
                call = self._recent.get(fact.call_id)
                telemetry.attempted(fact, None if call is None else call.use_case)
            elif isinstance(fact, Feedback):
                telemetry.rated(fact, *self._rated(fact))
            elif isinstance(fact, BreakerState):
                telemetry.broke(fact.gateway, fact.model_id, fact.state)

    def _rated(self, rating: Feedback) -> tuple[str | None, str | None]:
        """Return use case and model of a rated call; an old one is not looked up in the ledger for this."""
        call = self._recent.get(rating.call_id)
        return (None, None) if call is None else (call.use_case, call.model_id)

    def _guarded(self, count: Callable[..., None], *given: object) -> None:
        try:
            count(*given)
        except Exception as error:  # noqa: BLE001 - a full disk under the counters must not fail a call
            if not self._complained:
                self._complained = True
                _log.warning("Metrics are not whole: %s", type(error).__name__)


def _show_limits(telemetry: Telemetry, statuses: Iterable[LimitStatus]) -> None:
    for each in statuses:
        telemetry.spent(str(each.scope), each.window, each.spent_nano_usd / NANO_USD, each.left_nano_usd / NANO_USD)
