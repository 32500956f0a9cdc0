"""The Optimizer: choose a model, record what came of it, take ratings, learn."""

import logging
import os
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Self, TypeVar

from optimizer.catalog import Catalog, load_catalog
from optimizer.domain import CostTier, Request
from optimizer.engine.bookkeeping import Bookkeeping
from optimizer.engine.choosing import Chooser
from optimizer.engine.learning import NOBODY, Learner, View
from optimizer.engine.pacing import Spend, unlimited
from optimizer.engine.requests import request_of
from optimizer.engine.segmenters import Segmenters
from optimizer.engine.snapshot import Snapshot
from optimizer.engine.watch import Watch, settled_at_start
from optimizer.errors import LedgerError, OptimizerError
from optimizer.ledger.database import Database
from optimizer.ledger.limits import spending_limits
from optimizer.ledger.schema import open_database
from optimizer.routes import Routes
from optimizer.selection import Selection
from optimizer.settings import Origin, Settings

DEFAULT_DATABASE = "sqlite:///optimizer.db"

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Optimizer(Bookkeeping):
    """Chooses, call by call, the cheapest model that is good enough, and learns it from ratings.

    Open one with `Optimizer.open`; use it from any thread; close it, or use it as a context manager.

    Parameters
    ----------
    settings : Settings
    catalog : Catalog
    database : Database
        Open, and closed with the optimizer.
    clock : callable
        Returns the aware time now.
    rng : random.Random
        Where draws come from.
    background : bool
        Whether a thread re-reads the evidence every `refresh_interval`; else call `refresh`.
    origin : Origin
        Where the settings come from.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        database: Database,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
        background: bool = True,
        origin: Origin | None = None,
    ) -> None:
        self.origin = origin or Origin()
        self._watch = Watch(self.origin)
        segmenters = Segmenters.load(settings, self.origin.folder)
        learner = Learner(settings, catalog, database, segmenters, clock=clock, source=self.origin.name)
        super().__init__(learner, database, self.origin.folder, clock)
        # Seeded by the system, which need not be asked for every draw: nobody gains by guessing one.
        uniform = (rng or random.Random()).random  # noqa: S311
        self._chooser = Chooser(self._sessions, uniform, clock)
        self._reloading = Lock()
        self._checks: list[Callable[[Settings], object]] = []
        self._followers: list[Callable[[], object]] = []
        if self.purse.limited:
            self.pace_by(self._told.spend(self.purse))
        if background:
            self._learner.start(self.refresh)

    @classmethod
    def open(
        cls,
        config: str | Path | None = None,
        *,
        database: str | None = None,
        environ: Mapping[str, str] | None = None,
        catalog: Catalog | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
        background: bool = True,
    ) -> Self:
        """Return an optimizer over a configuration file, or over the built-in use cases.

        Parameters
        ----------
        config : path, optional
            A YAML file.
        database : str, optional
            URL of the ledger; else DATABASE_URL, else `optimizer.db` in the working directory, whose path is logged.
        environ : mapping, optional
            The environment; default: the process's own.

        Raises
        ------
        InvalidSettings
            If the configuration is wrong; the error names every key.
        LedgerError
            If the database cannot be used.
        """
        origin = Origin(None if config is None else Path(config), os.environ if environ is None else environ)
        settings = origin.load()
        url = database or (settings.database_url.get_secret_value() if settings.database_url else DEFAULT_DATABASE)
        opened = open_database(url)
        _log.info("Ledger: %s", opened.where)
        try:
            return cls(
                settings, catalog or load_catalog(), opened, clock=clock, rng=rng, background=background, origin=origin
            )
        except BaseException:
            opened.close()
            raise

    # Choosing

    def select_optimal_model(
        self,
        use_case: str,
        context_length: int = 0,
        required_quality: float | str | None = None,
        *,
        objective: str | None = None,
        needs_tools: bool = False,
        needs_json_schema: bool = False,
        needs_vision: bool = False,
        cost_tier: CostTier | None = None,
        session_id: str | None = None,
        tenant: str | None = None,
        tags: Mapping[str, str] | None = None,
        features: tuple[float, ...] | list[float] | None = None,
        max_cost_usd: float | None = None,
        expected_output_tokens: int | None = None,
        model: str | None = None,
    ) -> Selection:
        """Choose the model for one call, and keep the choice in the ledger.

        Parameters
        ----------
        use_case : str
            A use case or alias; an unknown one goes to `default_use_case`, with a warning, or is refused.
        context_length : int
            Tokens of the prompt, as well as they are known.
        required_quality : float or str, optional
            A quality in [0, 1], or `97%` of the incumbent's: asks for the cheapest good enough.
        objective : str, optional
            Such as `average:97%`, `value:0.05`, `budget:0.0005` or `quality`; default: the use case's.
        cost_tier : {"economy", "standard", "premium"}, optional
            Read by rules.
        session_id : str, optional
            Calls of one session stay with one model while it can serve.
        features : sequence of float, optional
            What the use case's segmenter takes.
        max_cost_usd : float, optional
            Candidates expected to cost more, or of unknown price, are left out.
        expected_output_tokens : int, optional
            Where the caller knows better than the past.
        model : str, optional
            A pin: this candidate serves, whatever is drawn.

        Raises
        ------
        UnknownUseCase, UnknownModel, InvalidRequest
            If an argument is wrong; the error names it.
        NoEligibleCandidate
            If nobody can serve; the error says why, model by model.
        """
        request = request_of(
            use_case=use_case,
            context_tokens=context_length,
            required_quality=required_quality,
            objective=objective,
            needs_tools=needs_tools,
            needs_json_schema=needs_json_schema,
            needs_vision=needs_vision,
            cost_tier=cost_tier,
            session_id=session_id,
            tenant=tenant,
            tags=tuple(sorted(tags.items())) if tags else (),
            features=None if features is None else tuple(features),
            max_cost_usd=max_cost_usd,
            expected_output_tokens=expected_output_tokens,
            model=model,
        )
        return self.select(request)

    def select(self, request: Request) -> Selection:
        """Choose for a request that is made already, and keep the choice; `select_optimal_model` says how."""
        selection = self.choose(request)
        self.keep(selection)
        return selection

    def choose(self, request: Request, troubled: Mapping[str, str] = NOBODY) -> Selection:
        """Choose, and leave it to the caller to `keep` the choice, once it is final.

        Parameters
        ----------
        troubled : mapping of str to str
            Model → why a breaker keeps calls away from it; it is left out while others can serve.
        """
        self.look_again()
        return self._chooser.choose(self._learner.view, request, troubled)

    # Learning

    @property
    def snapshot(self) -> Snapshot:
        """What choices are made from now: beliefs, costs, solved prices."""
        return self._learner.view.snapshot

    @property
    def view(self) -> View:
        """The snapshot with its routes and the decisions made from it so far."""
        return self._learner.view

    @property
    def catalog(self) -> Catalog:
        """The catalogue at the prices that the ledger knows of, looked up once a minute."""
        return self._learner.catalog

    @property
    def routes(self) -> Routes:
        """The routes in force, prices included."""
        return self._learner.view.routes

    def refresh(self, *, flush: bool = False) -> None:
        """Learn from what this and other processes have written, at the prices in force now.

        Parameters
        ----------
        flush : bool
            Whether to wait first until everything this process was told is written.
        """
        if flush:
            self._writer.flush()
        self.look_again()
        try:
            self._learner.refresh()
        finally:
            self._told.waiting(self.journal_length)
        for follow in tuple(self._followers):
            follow()

    def follow(self, follower: Callable[[], object]) -> Callable[[], None]:
        """Call somebody at every refresh, in the thread that refreshes; return what ends it."""
        return _added(self._followers, follower)

    def pace_by(self, spend: Spend) -> None:
        """Hold choices to limits from now on, so that they last; `spend` says how far each is used, every 15 s."""
        self._learner.pace_by(spend)
        self._learner.refresh()

    # Settings that change

    def look_again(self) -> None:
        """Reload if the configuration file has changed, which is looked at once a second at most."""
        if self._watch.has_changed():
            self.reload()

    def reload(self) -> bool:
        """Read the settings again, as a whole, and go by them; return whether they are in force.

        Settings that are wrong are refused whole, and a warning says what is wrong. Calls that are under way end as
        they began. `database_url` and `journal_dir` count from the next start on.
        """
        with self._reloading:
            before = self.settings
            try:
                settings = self._watch.read()
                segmenters = Segmenters.load(settings, self.origin.folder)
                for check in tuple(self._checks):
                    check(settings)
                self._learner.reload(settings, segmenters)
            except OptimizerError as error:
                _log.warning("The configuration stays as it was: %s", error)
                return False
            self._keep_by(settings)
            self._pace_anew(before)
        for warning in settled_at_start(before, settings):
            _log.warning("%s", warning)
        return True

    def check_reloads(self, check: Callable[[Settings], object]) -> Callable[[], None]:
        """Have settings refused that `check` raises an `OptimizerError` for; return what ends it."""
        return _added(self._checks, check)

    def _pace_anew(self, before: Settings) -> None:
        if spending_limits(self.settings) == spending_limits(before):
            return
        self._learner.pace_by(self._told.spend(self.purse) if self.purse.limited else unlimited)
        try:
            if not self.is_ledger_away:
                self._learner.refresh()
        except LedgerError as error:
            _log.warning("Choices are held to the new limits later: %s", error)

    def close(self) -> None:
        """Write what waits and let go of the database; safe to call twice."""
        self._learner.stop()
        self._close_books()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _added(listeners: list[T], listener: T) -> Callable[[], None]:
    """Add a listener, and return what takes it away."""
    listeners.append(listener)

    def take_away() -> None:
        if listener in listeners:
            listeners.remove(listener)

    return take_away
