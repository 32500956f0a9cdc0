"""The Optimizer: choose a model, record what came of it, take ratings, learn."""

import logging
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import ValidationError
from uuid_utils import uuid7

from optimizer.catalog import Catalog, load_catalog
from optimizer.decision.rules import Rule, first_match
from optimizer.domain import Attempt, Candidate, CostTier, Feedback, Request, Usage
from optimizer.engine.drawing import Lottery, session_uniform
from optimizer.engine.forced import can_serve, undrawn
from optimizer.engine.learning import Learner, View
from optimizer.engine.outcome import as_usage, checked_amount, checked_rating, checked_word, cost_of, refused
from optimizer.engine.recent import Recent, Sessions
from optimizer.engine.segmenters import Segmenters
from optimizer.engine.snapshot import Snapshot
from optimizer.errors import InvalidRequest, NoEligibleCandidate, UnknownMetric, UnknownModel
from optimizer.ledger.calls import StoredCall, read_call
from optimizer.ledger.database import Database
from optimizer.ledger.receipt import Receipt
from optimizer.ledger.schema import open_database
from optimizer.ledger.writer import Writer
from optimizer.routes import Route, Routes
from optimizer.selection import Decision, Selection, Standing
from optimizer.settings import Settings, load_settings

DEFAULT_DATABASE = "sqlite:///optimizer.db"
_ROLL_UP_S = 3_600.0
_REPRICE_S = 60.0

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
    source : str
        Where the settings come from, named in errors.
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
        source: str = "settings",
    ) -> None:
        self.settings = settings
        self.catalog = catalog
        self.database = database
        self._clock = clock
        self._random = (rng or random.SystemRandom()).random
        self._recent: Recent[str, Selection] = Recent()
        self._sessions = Sessions(database)
        segmenters = Segmenters.load(settings, Path(source).parent)
        self._learner = Learner(settings, catalog, database, segmenters, clock=clock, source=source)
        self._writer = Writer(database, settings.reward_rule, durability=settings.durability)
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
        path = None if config is None else Path(config)
        settings = load_settings(path, os.environ if environ is None else environ)
        url = database or (settings.database_url.get_secret_value() if settings.database_url else DEFAULT_DATABASE)
        opened = open_database(url)
        _log.info("Ledger: %s", opened.where)
        source = "environment" if path is None else str(path)
        try:
            return cls(
                settings,
                catalog or load_catalog(),
                opened,
                clock=clock,
                rng=rng,
                background=background,
                source=source,
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
        request = _request(
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
        """Choose for a request that is made already; `select_optimal_model` says how."""
        view = self._learner.view
        route = self._route(request.use_case)
        rule = first_match(view.routes.rules, request, route.name)
        try:
            selection = self._drawn(request, route, view.lottery(route, request))
        except NoEligibleCandidate as refused:
            selection = self._undrawn(view, request, route, rule, refused)
        selection = self._overridden(selection, route, rule)
        if request.session_id is None or not selection.distribution:
            self._writer.submit(selection)
        else:
            self._writer.submit(selection, *self._sessions.kept(request.session_id, selection))
        self._recent.keep(selection.call_id, selection)
        return selection

    def _route(self, name: str) -> Route:
        routes = self._learner.view.routes
        route = routes[name]
        if name not in routes.names:
            _log.warning("Unknown use case: it goes to %s", route.name)
        return route

    def _drawn(self, request: Request, route: Route, lottery: Lottery) -> Selection:
        if request.session_id is not None:
            return self._of_session(request.session_id, route, request, lottery)
        model, held_out = lottery.draw(self._random())
        return self._selection(request, lottery.decision, model, held_out)

    def _undrawn(
        self, view: View, request: Request, route: Route, rule: Rule | None, refused: NoEligibleCandidate
    ) -> Selection:
        """Return who serves by pin or rule where no candidate can; refuse where that model cannot either."""
        forced = None if rule is None else rule.candidate
        if request.model is not None:
            forced = self._candidate(route, request.model)
        if forced is None or not can_serve(forced, request):
            raise refused
        decision = undrawn(view, route, request, refused)
        return Selection(str(uuid7()), self._clock(), request, decision, forced.model_id, forced.model_id, None)

    def _selection(self, request: Request, decision: Decision, model: str, held_out: bool) -> Selection:
        return Selection(
            str(uuid7()),
            self._clock(),
            request,
            decision,
            model,
            model,
            decision.distribution[model],
            None,
            held_out,
        )

    def _of_session(self, session_id: str, route: Route, request: Request, lottery: Lottery) -> Selection:
        """Return the session's model while it is eligible; else the one its own number draws."""
        decision = lottery.decision
        known = self._sessions.model_of(route.name, session_id)
        if known is not None and known in decision.distribution:
            turn = self._selection(request, decision, known, held_out=False)
            return replace(turn, propensity=None, overridden_by="session")
        model, held_out = lottery.draw(session_uniform(route.name, session_id))
        return self._selection(request, decision, model, held_out)

    def _overridden(self, selection: Selection, route: Route, rule: Rule | None) -> Selection:
        """Return the selection with what stands above the draw: pin, rule, flags."""
        flags, pin = self.settings.flags, selection.request.model
        if pin is not None:
            return self._served_by(selection, self._candidate(route, pin), "pin")
        if rule is not None:
            return self._served_by(selection, rule.candidate, f"rule:{rule.name}")
        if not flags.routing:
            return self._served_by(selection, self._candidate(route, route.incumbent), "flag:routing")
        if not flags.cost_optimization:
            return self._served_by(selection, self._candidate(route, route.incumbent), "observe")
        return selection

    @staticmethod
    def _served_by(selection: Selection, candidate: Candidate, why: str) -> Selection:
        decision = selection.decision
        if candidate.model_id not in decision.by_model:
            guest = Standing(candidate, f"not a candidate; serves by {why}")
            decision = replace(decision, standings=(*decision.standings, guest))
        return replace(selection, decision=decision, model_id=candidate.model_id, overridden_by=why)

    def _candidate(self, route: Route, model: str) -> Candidate:
        for candidate in (*route.candidates, *route.fallbacks):
            if candidate.model_id == model:
                return candidate
        raise UnknownModel(model, tuple(candidate.model_id for candidate in route.candidates))

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
        selection = call if isinstance(call, Selection) else self._selected(call)
        candidate = self._who_served(selection, model)
        tokens = as_usage(usage)
        cost, source = cost_of(candidate, tokens, checked_amount("cost_usd", cost_usd))
        made = Attempt(
            selection.call_id,
            candidate.model_id,
            candidate.gateway,
            self._clock(),
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
        self._settle(self._writer.submit(made))
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
        metrics = self._route(self._selected(call_id).use_case).settings.metrics
        if metric is not None and metric not in metrics.names:
            raise UnknownMetric(metric, metrics.names)
        self._settle(self._writer.submit(Feedback(call_id, metric or metrics.quality, rater, value, self._clock())))

    def _selected(self, call_id: str) -> Selection:
        return self._recent.get(call_id) or self.call(call_id).selection

    def _who_served(self, selection: Selection, model: str | None) -> Candidate:
        if model is None or model in selection.decision.by_model:
            return selection.decision.by_model[model or selection.model_id].candidate
        return self._candidate(self._route(selection.use_case), model)

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

    def flush(self) -> None:
        """Wait until everything that this process was told is in the ledger."""
        self._writer.flush()

    def close(self) -> None:
        """Write what waits and let go of the database; safe to call twice."""
        self._learner.stop()
        try:
            self._writer.close()
        finally:
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _request(**given: object) -> Request:
    try:
        return Request.model_validate(given)
    except ValidationError as error:
        raise refused(error, names={"context_tokens": "context_length"}) from None
