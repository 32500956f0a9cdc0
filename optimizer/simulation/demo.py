"""Plays a simulated day through the real library: choose, call, retry, rate when ratings are due, learn on the way.

Everything happens in the order of one simulated clock, so the same world and the same draws end in the same ledger.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from optimizer.engine import Optimizer
from optimizer.selection import Selection
from optimizer.simulation.raters import Rating
from optimizer.simulation.traffic import Arrival
from optimizer.simulation.world import Answer, World

TAGS = {"simulated": "yes"}  # on every call, so that no ledger of a simulation is ever taken for a real one
_DAY = timedelta(days=1)


@dataclass
class Clock:
    """The simulated time; calling it returns it, as the optimizer's clock."""

    at: datetime

    def __call__(self) -> datetime:
        """Return the time that it is."""
        return self.at


@dataclass(frozen=True, slots=True)
class Played:
    """One call, with the truth about it that only a simulation knows.

    Attributes
    ----------
    model_id : str or None
        Who served; None where the retry failed too.
    quality : float or None
        True quality of the reply, in [0, 1].
    paid_usd, baseline_usd : float
        What all attempts that went through truly cost, and what the baseline would have.
    n_ratings : int
        Ratings that were given, corrections and withdrawals included.
    """

    arrival: Arrival
    call_id: str
    model_id: str | None
    quality: float | None
    paid_usd: float
    baseline_usd: float
    n_ratings: int

    @property
    def at(self) -> datetime:
        """When the request came."""
        return self.arrival.at


_Action = Callable[[], None]


@dataclass
class Day:
    """A day under way: what has come of it so far, and what is still to come, by time.

    Attributes
    ----------
    optimizer : Optimizer
        Reads `clock`, and nobody else refreshes it.
    refresh_every : timedelta
        How often the optimizer looks at what it has been told; a real one does every few seconds.
    played : list of Played
        In the order in which the calls ended.
    """

    world: World
    optimizer: Optimizer
    clock: Clock
    refresh_every: timedelta = timedelta(minutes=10)
    played: list[Played] = field(default_factory=list)
    _to_come: list[tuple[datetime, int, _Action]] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=count)

    def play(self) -> Iterator[datetime]:
        """Play the whole day and the ratings that come after it; yield the time after everything that happens."""
        start = self.world.start
        for i in range(_DAY // self.refresh_every + 1):
            self._plan(start + i * self.refresh_every, self._learn)
        for arrival in self.world.arrivals:
            self._plan(arrival.at, lambda arrival=arrival: self._choose(arrival))  # type: ignore[misc]
        while self._to_come:
            at, _, action = heapq.heappop(self._to_come)
            self.clock.at = at
            action()
            yield at
        self.optimizer.flush()

    def _plan(self, at: datetime, action: _Action) -> None:
        heapq.heappush(self._to_come, (at, next(self._number), action))

    def _learn(self) -> None:
        self.optimizer.refresh(flush=True)

    def _choose(self, arrival: Arrival) -> None:
        selection = self.optimizer.select_optimal_model(
            arrival.use_case,
            arrival.context_tokens,
            needs_tools=arrival.needs_tools,
            needs_json_schema=arrival.needs_json_schema,
            needs_vision=arrival.needs_vision,
            session_id=arrival.session_id,
            tenant=arrival.tenant,
            tags=TAGS,
        )
        self._ask(arrival, selection, selection.model_id, 0)

    def _ask(self, arrival: Arrival, selection: Selection, model_id: str, attempt: int) -> None:
        """Ask a model; what comes of it is recorded when the answer is there."""
        answer = self.world.answer(arrival, model_id, self.clock.at)
        ratings = self.world.ratings(arrival, answer)
        ended = answer.at + timedelta(milliseconds=answer.latency_ms)
        self._plan(ended, lambda: self._record(arrival, selection, answer, attempt, len(ratings)))
        for rating in ratings:
            self._plan(answer.at + rating.after, lambda rating=rating: self._rate(selection, rating))  # type: ignore[misc]

    def _record(self, arrival: Arrival, selection: Selection, answer: Answer, attempt: int, n_ratings: int) -> None:
        known_free = answer.error_kind is not None and answer.cost_nano_usd == 0
        self.optimizer.record(
            selection,
            usage=answer.usage,
            latency_ms=answer.latency_ms,
            ttft_ms=answer.ttft_ms,
            cost_usd=0.0 if known_free else None,  # else the library prices the usage itself
            error=answer.error_kind,
            status=answer.status,
            model=answer.model_id,
            attempt=attempt,
        )
        if answer.error_kind is not None and attempt == 0:
            self._ask(arrival, selection, stand_in(selection), 1)
        else:
            self.played.append(self._truth(arrival, selection, answer, n_ratings))

    def _rate(self, selection: Selection, rating: Rating) -> None:
        if rating.value is None:
            self.optimizer.withdraw(selection.call_id, metric=rating.metric, rater=rating.rater)
        else:
            self.optimizer.rate(selection.call_id, rating.value, metric=rating.metric, rater=rating.rater)

    def _truth(self, arrival: Arrival, selection: Selection, answer: Answer, n_ratings: int) -> Played:
        world, baseline = self.world, self.world.routes[arrival.use_case].baseline
        served = answer.error_kind is None
        return Played(
            arrival,
            selection.call_id,
            answer.model_id if served else None,
            answer.quality,
            (world.cost_usd(arrival, answer.model_id, answer.at) or 0.0) if served else 0.0,
            world.cost_usd(arrival, baseline) or 0.0,
            n_ratings,
        )


def stand_in(selection: Selection) -> str:
    """Return who is asked when the chosen model has failed: the incumbent, or else the likeliest other candidate."""
    others = {model: share for model, share in selection.distribution.items() if model != selection.model_id}
    if selection.decision.incumbent in others:
        return selection.decision.incumbent
    return max(others, key=lambda model: (others[model], model), default=selection.model_id)
