"""What the Optimizer keeps of calls: choices, what came of them, ratings; to the ledger, and of late in memory."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from optimizer.domain import CALLS_QUALITY, MOST_MS, MOST_USD, Attempt, Candidate, Feedback, RewardRule, Usage
from optimizer.engine.choosing import candidate_of
from optimizer.engine.learning import Learner
from optimizer.engine.outcome import as_usage, checked_amount, checked_rating, checked_word, cost_of
from optimizer.engine.recent import Recent, Sessions
from optimizer.engine.told import Told
from optimizer.errors import InvalidRequest, LedgerUnavailable, UnknownMetric
from optimizer.ledger.batch import Fact
from optimizer.ledger.calls import StoredCall, read_call
from optimizer.ledger.database import Database
from optimizer.ledger.journal import Place
from optimizer.ledger.limits import spending_limits
from optimizer.ledger.purse import TTL_S, Purse
from optimizer.ledger.receipt import Receipt
from optimizer.ledger.writer import Writer
from optimizer.selection import Selection
from optimizer.settings import Settings

CALLS_AT_HAND = 10_000  # some 13 MB; older ones are read from the ledger when they are rated


class Bookkeeping:
    """The half of an `Optimizer` that keeps what it is told; while the database is away, in a journal on this machine.

    Parameters
    ----------
    folder : Path
        What `journal_dir` is relative to.
    """

    def __init__(self, learner: Learner, database: Database, folder: Path, clock: Callable[[], datetime]) -> None:
        self._learner = learner
        self.database = database
        self.clock = clock
        self._recent: Recent[str, Selection] = Recent(CALLS_AT_HAND)
        settings, name = learner.view.settings, learner.view.settings.journal_dir
        facts, costs = (Place.beside(database, name and folder / name, kind) for kind in ("facts", "costs"))
        limits = spending_limits(settings)
        self.purse = Purse(database, limits, clock=clock, ttl_s=_ttl_s(settings), place=costs)
        self._writer = Writer(database, self._rule_of, durability=settings.durability, place=facts)
        self._sessions = Sessions(database, lambda: self._writer.is_away)
        self._told = Told.of(settings, learner.catalog, self._recent)
        learner.tell_of_refreshes(self._told.refreshes(self._writer, self.purse))

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._learner.view.settings

    @property
    def is_ledger_away(self) -> bool:
        """Whether the database was away when something was last to be written; looks at nothing."""
        return self._writer.is_away

    @property
    def journal_length(self) -> int:
        """How much of what this process was told waits in its journal: 0 while the database is there."""
        return self._writer.n_journaled + self.purse.n_journaled

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
        cost, source = cost_of(candidate, tokens, checked_amount("cost_usd", cost_usd, MOST_USD))
        made = Attempt(
            selection.call_id,
            candidate.model_id,
            candidate.gateway,
            self.clock(),
            number=attempt,
            served=error is None,
            status=status,
            error_kind=checked_word(error),
            latency_ms=checked_amount("latency_ms", latency_ms, MOST_MS),
            ttft_ms=checked_amount("ttft_ms", ttft_ms, MOST_MS),
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

        While the database is away, a call that this process does not know cannot be looked up: its rating goes to the
        journal, and is dropped, with a line in the log, if the ledger does not know the call either.

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
        known = self._selection_at_hand(call_id)
        metrics = None if known is None else self._learner.view.route(known.use_case).settings.metrics
        names = self._every_metric() if metrics is None else metrics.names
        if metric is not None and metric not in names:
            raise UnknownMetric(metric, names)
        default = CALLS_QUALITY if metrics is None else metrics.quality
        self._settle(self.tell(Feedback(call_id, metric or default, rater, value, self.clock())))

    def _selection_at_hand(self, call_id: str) -> Selection | None:
        """Return a call's selection; None where only a database that is away could tell, and a journal is there."""
        known = self._recent.get(call_id)
        if known is not None:
            return known
        try:
            return None if self._writer.is_journaling else self.call(call_id).selection
        except LedgerUnavailable:
            if not self._writer.has_journal:
                raise
            return None

    def _every_metric(self) -> tuple[str, ...]:
        use_cases = self.settings.use_cases.values()
        return tuple(dict.fromkeys(name for use_case in use_cases for name in use_case.metrics.names))

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

    def flush(self) -> None:
        """Wait until everything that this process was told is in the ledger; raise where it is only in the journal."""
        self._writer.flush()
        self.purse.flush()

    def _close_books(self) -> None:
        try:
            self.purse.close()
        finally:
            try:
                self._writer.close()
            finally:
                self.database.close()

    def _keep_by(self, settings: Settings) -> None:
        """Go by other limits, another durability and other instruments from now on."""
        self.purse.reload(spending_limits(settings), ttl_s=_ttl_s(settings))
        self._writer.use(settings.durability)
        self._told.use(settings, self._learner.catalog)

    def _rule_of(self, use_case: str) -> RewardRule:
        return self.settings.reward_rule(use_case)


def _ttl_s(settings: Settings) -> float:
    """Return how long money stays set aside: longer than the call that it is for."""
    return max(TTL_S, settings.routing.deadline_seconds + 60.0)
