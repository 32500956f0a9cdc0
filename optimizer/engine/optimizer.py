"""The Optimizer: choose a model, record what came of it, take ratings, learn."""

import logging
import os
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from optimizer.catalog import Catalog, load_catalog
from optimizer.domain import Attempt, Candidate, CostTier, Feedback, Request, Usage
from optimizer.engine.choosing import Chooser, candidate_of
from optimizer.engine.learning import NOBODY, Learner, View
from optimizer.engine.outcome import as_usage, checked_amount, checked_rating, checked_word, cost_of
from optimizer.engine.pacing import Spend
from optimizer.engine.recent import Recent, Sessions
from optimizer.engine.requests import request_of
from optimizer.engine.segmenters import Segmenters
from optimizer.engine.snapshot import Snapshot
from optimizer.engine.told import Told
from optimizer.errors import InvalidRequest, UnknownMetric
from optimizer.ledger.batch import Fact
from optimizer.ledger.calls import StoredCall, read_call
from optimizer.ledger.database import Database
from optimizer.ledger.limits import spending_limits
from optimizer.ledger.purse import TTL_S, Purse
from optimizer.ledger.receipt import Receipt
from optimizer.ledger.schema import open_database
from optimizer.ledger.writer import Writer
from optimizer.routes import Routes
from optimizer.selection import Selection
from optimizer.settings import Origin, Settings

DEFAULT_DATABASE = "sqlite:///optimizer.db"

_log = logging.getLogger(__name__)


class Optimizer:
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
        self.settings = settings
        self.database = database
        self.clock = clock
        self._recent: Recent[str, Selection] = Recent()
        self._sessions = Sessions(database)
        self._told = Told.of(settings, catalog, self._recent)
        self.origin = origin or Origin()
        segmenters = Segmenters.load(settings, self.origin.folder)
        self._learner = Learner(settings, catalog, database, segmenters, clock=clock, source=self.origin.name)
        # What is set aside must outlast the call that it is for.
        ttl_s = max(TTL_S, settings.routing.deadline_seconds + 60.0)
        self.purse = Purse(database, spending_limits(settings), clock=clock, ttl_s=ttl_s)
        self._writer = Writer(database, settings.reward_rule, durability=settings.durability)
        self._learner.tell_of_refreshes(self._told.refreshes(self._writer, self.purse))
        uniform = (rng or random.SystemRandom()).random
        self._chooser = Chooser(settings.flags, self._sessions, uniform, clock)
        if self.purse.limited:
            self.pace_by(self._told.spend(self.purse))
        if background:
            self._learner.start()

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
        return self._chooser.choose(self._learner.view, request, troubled)

    def keep(self, selection: Selection, *facts: Fact) -> Receipt:
        """Hand a choice, and what is known of the call already, to the ledger's writer."""
        self._recent.keep(selection.call_id, selection)
        return self.tell(selection, *self._sessions.kept(selection), *facts)

    def tell(self, *facts: Fact) -> Receipt:
        """Hand attempts, ratings and the like to the ledger's writer; they are written together or not at all."""
        self._told.facts(facts)
        return self._writer.submit(*facts)

    # What came of it

    def record(
        self,
        call: Selection | str,
        *,
        usage: Usage | Mapping[str, int] | None = None,
        latency_ms: float | None = None,
        ttft_ms: float | None = None,
        cost_usd: float | None = None,
        error: str | None = None,
        status: int | None = None,
        model: str | None = None,
        attempt: int = 0,
    ) -> Attempt:
        """Record what came of a call that the caller made.

        Parameters
        ----------
        call : Selection or str
            The selection, or its call id.
        usage : Usage or mapping, optional
            Tokens; a mapping may use OpenAI's names (`prompt_tokens`, …).
        cost_usd : float, optional
            What the gateway says it cost; else it is priced from the usage where the price is known, else unknown.
        error : str, optional
            A short word such as `timeout`, where the attempt failed. Never a message: it may hold a prompt.
        model : str, optional
            Who served, where it is not the model selected.
        attempt : int
            Number of the attempt, from 0; recording the same number again changes nothing.

        Raises
        ------
        UnknownCall, InvalidRequest
            If there is no such call, or a value is out of range; the error names it.
        """
        selection = call if isinstance(call, Selection) else self.selected(call)
        candidate = self._who_served(selection, model)
        tokens = as_usage(usage)
        cost, source = cost_of(candidate, tokens, checked_amount("cost_usd", cost_usd))
        made = Attempt(
            selection.call_id,
            candidate.model_id,
            candidate.gateway,
            self.clock(),
            number=attempt,
            served=error is None,
            status=status,
            error_kind=checked_word(error),
            latency_ms=checked_amount("latency_ms", latency_ms),
            ttft_ms=checked_amount("ttft_ms", ttft_ms),
            usage=tokens,
            cost_nano_usd=cost,
            cost_source=source,
        )
        self._settle(self.tell(made))
        if cost is not None:
            self.purse.charge(selection.use_case, selection.request.tenant, cost)
        return made

    def rate(self, call_id: str, value: float | bool, *, metric: str | None = None, rater: str = "user") -> None:
        """Rate a call, hours later too; the same rater's later rating of the same metric takes the earlier one's place.

        Parameters
        ----------
        value : float or bool
            In [0, 1].
        metric : str, optional
            Default: the use case's quality.

        Raises
        ------
        InvalidRating, UnknownCall, UnknownMetric
        """
        self._give(call_id, checked_rating(value), metric, rater)

    def withdraw(self, call_id: str, *, metric: str | None = None, rater: str = "user") -> None:
        """Take a rater's rating of a call back; without one, nothing changes."""
        self._give(call_id, None, metric, rater)

    def _give(self, call_id: str, value: float | None, metric: str | None, rater: str) -> None:
        if not rater or len(rater) > 200:
            raise InvalidRequest("rater", "a name of 1 to 200 characters")
        metrics = self._learner.view.route(self.selected(call_id).use_case).settings.metrics
        if metric is not None and metric not in metrics.names:
            raise UnknownMetric(metric, metrics.names)
        self._settle(self.tell(Feedback(call_id, metric or metrics.quality, rater, value, self.clock())))

    def selected(self, call_id: str) -> Selection:
        """Return how a call was decided, from memory where it is recent; `UnknownCall` if it is nowhere."""
        return self._recent.get(call_id) or self.call(call_id).selection

    def _who_served(self, selection: Selection, model: str | None) -> Candidate:
        if model is None or model in selection.decision.by_model:
            return selection.decision.by_model[model or selection.model_id].candidate
        return candidate_of(self._learner.view.route(selection.use_case), model)

    def _settle(self, receipt: Receipt) -> None:
        if self.settings.durability == "sync":
            receipt.result()

    def call(self, call_id: str) -> StoredCall:
        """Return everything the ledger knows of a call; `UnknownCall` if it is not there."""
        if call_id in self._recent:
            self._writer.flush()
        return read_call(self.database, call_id)

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
        self._learner.refresh()

    def pace_by(self, spend: Spend) -> None:
        """Hold choices to limits from now on, so that they last; `spend` says how far each is used, every 15 s."""
        self._learner.pace_by(spend)

    def flush(self) -> None:
        """Wait until everything that this process was told is in the ledger."""
        self._writer.flush()
        self.purse.flush()

    def close(self) -> None:
        """Write what waits and let go of the database; safe to call twice."""
        self._learner.stop()
        try:
            self.purse.close()
        finally:
            try:
                self._writer.close()
            finally:
                self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
