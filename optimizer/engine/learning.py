"""What choices are made from, kept up to date: evidence re-read, prices looked up, the view replaced."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import blake2b
from importlib.resources import files
from types import MappingProxyType

from optimizer.catalog import Catalog
from optimizer.decision.evidence import bin_tokens, length_bin
from optimizer.domain import Request
from optimizer.engine.deciding import Versions, make_decision
from optimizer.engine.drawing import Lottery
from optimizer.engine.drift import Drift
from optimizer.engine.pacing import Pacer, Spend
from optimizer.engine.pricing import Prices
from optimizer.engine.segmenters import Segmenters
from optimizer.engine.snapshot import Snapshot, make_snapshot
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader, roll_up
from optimizer.ledger.retention import forget_calls
from optimizer.routes import Route, Routes, effective_routes
from optimizer.settings import Settings

_ROLL_UP_S = 3_600.0
_FORGOTTEN = 5_000  # calls that are deleted between two refreshes, at most
NOBODY: Mapping[str, str] = MappingProxyType({})
_REPRICE_S = 60.0  # beliefs fade and prices change also where nobody calls

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """Settings, routes and snapshot of one moment, and the decisions made from them so far."""

    settings: Settings
    routes: Routes
    snapshot: Snapshot
    segmenters: Segmenters
    versions: dict[str, Versions]
    lotteries: dict[tuple[object, ...], Lottery] = field(default_factory=dict)

    def route(self, name: str) -> Route:
        """Return the route of a use case or alias; an unknown one goes to the default, with a warning."""
        found = self.routes[name]
        if name not in self.routes.names:
            _log.warning("Unknown use case: it goes to %s", found.name)
        return found

    def lottery(self, route: Route, request: Request, troubled: Mapping[str, str] = NOBODY) -> Lottery:
        """Return the decision for requests like this one, made when the first of them comes."""
        segment = self.segmenters.segment_of(route.name, request.features)
        exact = request.max_cost_usd is not None  # a cap is held against the request itself, not against its bin
        length = request.context_tokens if exact else length_bin(request.context_tokens)
        key = (
            route.name,
            segment,
            length,
            request.objective,
            request.required_quality,
            request.needs_tools,
            request.needs_json_schema,
            request.needs_vision,
            request.max_cost_usd,
            request.expected_output_tokens,
            frozenset(troubled.items()) if troubled else None,
        )
        found = self.lotteries.get(key)
        if found is not None and found.fits(request.window_tokens):
            return found
        tokens = float(request.context_tokens) if exact else bin_tokens(length)
        versions = self.versions[route.name]
        decision = make_decision(self.snapshot, route, segment, request, tokens, versions, troubled=troubled)
        made = self.lotteries[key] = Lottery.of(decision, request.window_tokens)
        return made


def code_version() -> bytes:
    """Return the hash of the code that decides, so that no change of it goes unseen in what is logged."""
    digest = blake2b(digest_size=8)
    for module in sorted(files("optimizer.decision").iterdir(), key=lambda found: found.name):
        if module.name.endswith(".py"):
            digest.update(module.read_bytes())
    return digest.digest()


class Learner:
    """Holds the view in force and replaces it.

    Parameters
    ----------
    source : str
        Where the settings come from, named in errors.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        database: Database,
        segmenters: Segmenters,
        *,
        clock: Callable[[], datetime],
        source: str,
    ) -> None:
        self._prices = Prices(catalog, database)
        self._database = database
        self._clock = clock
        self._source = source
        self._reader = EvidenceReader(database)
        self._refreshing = threading.Lock()
        self._viewing = threading.Lock()  # for itself, so that nobody who reloads waits for a database that is away
        self._rolled_up_at = clock()
        self._forgetting = True  # whether calls may be too old: looked at now, and once an hour
        self._pacer = Pacer()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._drift = Drift(database, self._reader)
        self._refreshed: Callable[[datetime], None] = lambda _: None
        self._reader.refresh()
        self._drift.read()
        self._prices.read(clock())
        self.view = self._view(settings, segmenters, None)

    @property
    def catalog(self) -> Catalog:
        """The catalogue at the prices that the ledger knows of."""
        return self._prices.catalog

    def refresh(self) -> None:
        """Put a new view in place, if anything has changed or a minute has passed."""
        with self._refreshing:
            changed = self._reader.refresh()
            now = self._clock()
            changed |= self._drift.look(self.view.routes, now) if changed else self._drift.read()
            limited, priced = self._pacer.read(now), self._prices.read(now)
            if changed or limited or priced or (now - self.view.snapshot.at).total_seconds() >= _REPRICE_S:
                with self._viewing:
                    self.view = self._view(self.view.settings, self.view.segmenters, self.view)
            self._tidy(now)
        self._refreshed(now)

    def _tidy(self, now: datetime) -> None:
        """Roll evidence up once an hour, and delete calls that are too old, some at a time."""
        retention = self.view.settings.retention
        if (now - self._rolled_up_at).total_seconds() > _ROLL_UP_S:
            self._rolled_up_at = now
            roll_up(self._database, now)
            self._forgetting = retention is not None
        if self._forgetting and retention is not None:
            self._forgetting = forget_calls(self._database, now - retention, most=_FORGOTTEN) == _FORGOTTEN

    def reload(self, settings: Settings, segmenters: Segmenters) -> None:
        """Put a view of other settings in place, from the evidence at hand.

        Raises
        ------
        InvalidSettings
            If they do not fit the catalogue; then the view stays as it was.
        """
        with self._viewing:
            self.view = self._view(settings, segmenters, self.view)

    def _view(self, settings: Settings, segmenters: Segmenters, before: View | None) -> View:
        now = self._clock()
        routes = effective_routes(settings, self.catalog, now, source=self._source)
        last = None if before is None else before.snapshot
        rows = self._reader.rows
        snapshot = make_snapshot(now, routes, rows, segmenters.contexts, last, alarms=self._drift.alarms)
        same = before is not None and before.settings is settings
        versions = before.versions if before is not None and same else _versions(routes, segmenters)
        return View(settings, routes, self._pacer.hold(snapshot, rows), segmenters, versions)

    def pace_by(self, spend: Spend) -> None:
        """Hold choices to these limits of spending from the next refresh on."""
        self._pacer = Pacer(spend)

    def tell_of_refreshes(self, refreshed: Callable[[datetime], None]) -> None:
        """Tell of the last time that evidence was read: now, and whenever it is read again."""
        self._refreshed = refreshed
        refreshed(self._clock())

    def start(self, refresh: Callable[[], None]) -> None:
        """Call `refresh` from now on in a thread of its own, every `refresh_interval`."""
        run = partial(self._refresh_forever, refresh)
        self._thread = threading.Thread(target=run, name="evidence-reader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if there is one."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _refresh_forever(self, refresh: Callable[[], None]) -> None:
        while not self._closed.wait(self.view.settings.refresh_interval.total_seconds()):
            try:
                refresh()
            except Exception as error:  # noqa: BLE001 - the last view goes on serving, whatever this is
                _log.warning("Choices go on from older evidence: %s", error)


def _versions(routes: Routes, segmenters: Segmenters) -> dict[str, Versions]:
    code = code_version()
    policies = {
        name: blake2b(code + route.settings.model_dump_json().encode(), digest_size=6).hexdigest()
        for name, route in routes.by_use_case.items()
    }
    return {name: Versions(policy, segmenters.version_of(name)) for name, policy in policies.items()}
