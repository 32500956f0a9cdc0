"""Plays a simulated day through the library alone, without HTTP: choose, ask the world, retry once, record and rate.

Everything happens in the order of one simulated clock, so the same world and the same draws end in the same ledger.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from optimizer.engine import Optimizer
from optimizer.ledger.database import Database
from optimizer.selection import Selection
from optimizer.settings import Settings
from optimizer.simulation.raters import Rating
from optimizer.simulation.traffic import Arrival
from optimizer.simulation.world import Answer, World

REFRESH = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass
class _Clock:
    at: datetime

    def __call__(self) -> datetime:
        return self.at


@dataclass
class InProcessDay:
    """A day to be played once; the database is closed at its end."""

    world: World
    settings: Settings
    database: Database
    true_usd: dict[str, float] = field(default_factory=dict)  # call → what was truly saved on it
    _to_come: list[tuple[datetime, int, Callable[[], None]]] = field(default_factory=list)
    _number: count = field(default_factory=count)

    def play(self) -> dict[str, float]:
        """Play it and the ratings that come after; return call → what was truly saved."""
        self._clock = _Clock(self.world.start)
        rng = random.Random(self.world.seed)
        catalog = self.world.catalog
        with Optimizer(
            self.settings, catalog, self.database, clock=self._clock, rng=rng, background=False
        ) as self._optimizer:
            for i in range(_DAY // REFRESH + 1):
                self._plan(self.world.start + i * REFRESH, lambda: self._optimizer.refresh(flush=True))
            for arrival in self.world.arrivals:
                self._plan(arrival.at, lambda arrival=arrival: self._choose(arrival))
            while self._to_come:
                self._clock.at, _, action = heapq.heappop(self._to_come)
                action()
            self._optimizer.flush()
        return self.true_usd

    def _plan(self, at: datetime, action: Callable[[], None]) -> None:
        heapq.heappush(self._to_come, (at, next(self._number), action))

    def _choose(self, arrival: Arrival) -> None:
        selection = self._optimizer.select_optimal_model(
            arrival.use_case,
            arrival.context_tokens,
            needs_tools=arrival.needs_tools,
            needs_json_schema=arrival.needs_json_schema,
            needs_vision=arrival.needs_vision,
            session_id=arrival.session_id,
        )
        self._ask(arrival, selection, selection.model_id, 0)

    def _ask(self, arrival: Arrival, selection: Selection, model_id: str, attempt: int) -> None:
        answer = self.world.answer(arrival, model_id, self._clock.at)
        ended = answer.at + timedelta(milliseconds=answer.latency_ms)
        self._plan(ended, lambda: self._record(arrival, selection, answer, attempt))
        for rating in self.world.ratings(arrival, answer):
            self._plan(answer.at + rating.after, lambda rating=rating: self._rate(selection, rating))

    def _record(self, arrival: Arrival, selection: Selection, answer: Answer, attempt: int) -> None:
        failed = answer.error_kind is not None
        self._optimizer.record(
            selection,
            usage=answer.usage,
            latency_ms=answer.latency_ms,
            ttft_ms=answer.ttft_ms,
            cost_usd=0.0 if failed and answer.cost_nano_usd == 0 else None,  # else the library prices the usage
            error=answer.error_kind,
            status=answer.status,
            model=answer.model_id,
            attempt=attempt,
        )
        if failed and attempt == 0:
            self._ask(arrival, selection, selection.decision.incumbent, 1)
            return
        paid = None if failed else self.world.cost_usd(arrival, answer.model_id, answer.at)
        would = self.world.cost_usd(arrival, self.world.routes[arrival.use_case].baseline)
        self.true_usd[selection.call_id] = (would or 0.0) - (paid or 0.0)

    def _rate(self, selection: Selection, rating: Rating) -> None:
        if rating.value is None:
            self._optimizer.withdraw(selection.call_id, metric=rating.metric, rater=rating.rater)
        else:
            self._optimizer.rate(selection.call_id, rating.value, metric=rating.metric, rater=rating.rater)
