"""One breaker as a value: what a failure, a success and a rate limit make of it; pure, time is an argument."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from optimizer.settings import HealthChecks

State = Literal["closed", "open", "half_open"]

RATE_LIMIT = "rate_limit"
LONGEST = timedelta(minutes=10)  # that a breaker stays open before it lets somebody try again
RATE_PAUSE = timedelta(seconds=1)  # after rate limits that do not say how long to wait


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is known of one model at one gateway, or of a gateway as a whole.

    Attributes
    ----------
    changed_at : datetime
        When it last opened, closed, became half-open or was paused.
    state : {"closed", "open", "half_open"}
        As it was put down; an open one whose time is over is half-open to whoever looks (`state_at`).
    n_failures : int
        In a row, without those that say nothing of health.
    n_openings : int
        In a row, without a success in between; each doubles the time until the next probe.
    n_limited : int
        Rate limits in a row that did not say how long to wait.
    paused_until : datetime or None
        Until when a rate limit keeps calls away; it is no illness, and ends without a probe.
    probe : int or None
        Number of the permit that has the half-open place.
    """

    changed_at: datetime
    state: State = "closed"
    error_kind: str | None = None
    n_failures: int = 0
    n_openings: int = 0
    n_limited: int = 0
    open_until: datetime | None = None
    paused_until: datetime | None = None
    probe: int | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing keeps calls away, now or later."""
        return self.state == "closed" and self.paused_until is None

    def is_paused(self, now: datetime) -> bool:
        """Whether a rate limit keeps calls away."""
        return self.paused_until is not None and now < self.paused_until

    def state_at(self, now: datetime) -> State:
        """Return the state as a call that comes now finds it; a pause is open."""
        if self.is_paused(now):
            return "open"
        if self.state == "open" and self.open_until is not None and now >= self.open_until:
            return "half_open"
        return self.state

    def lets_in(self, now: datetime) -> bool:
        """Whether one more call may be made now."""
        state = self.state_at(now)
        return state == "closed" or (state == "half_open" and self.probe is None)

    def entered(self, now: datetime, permit: int) -> "Circuit":
        """Return the circuit after a call was let in: of a half-open one, it has the only place."""
        if self.state_at(now) != "half_open":
            return self
        changed_at = self.changed_at if self.state == "half_open" else now
        return replace(self, state="half_open", probe=permit, changed_at=changed_at)

    def left(self, permit: int) -> "Circuit":
        """Return the circuit after a call that says nothing of health: a probe gives its place back."""
        return replace(self, probe=None) if self.probe == permit else self

    def succeeded(self, now: datetime) -> "Circuit":
        """Return the circuit after a success: closed, though a rate limit's pause is kept to its end."""
        pause = self.paused_until if self.is_paused(now) else None
        if self.state == "closed" and pause == self.paused_until:
            return replace(self, n_failures=0, n_limited=0)
        return Circuit(now, error_kind=RATE_LIMIT if pause else None, paused_until=pause)

    def failed(self, now: datetime, kind: str, settings: HealthChecks) -> "Circuit":
        """Return the circuit after a failure that speaks of illness.

        The threshold's number of them in a row opens a closed one; one opens a half-open one again, for twice as
        long; what comes in while it is open extends nothing.
        """
        sicker = replace(self, n_failures=self.n_failures + 1)
        if self.state == "open" and self.open_until is not None and now < self.open_until:
            return sicker
        if self.state == "closed" and sicker.n_failures < settings.failure_threshold:
            return sicker
        n = self.n_openings + 1
        until = now + time_open(n, settings)
        return replace(
            sicker, state="open", error_kind=kind, n_openings=n, open_until=until, changed_at=now, probe=None
        )

    def limited(self, now: datetime, retry_after_s: float | None, settings: HealthChecks) -> "Circuit":
        """Return the circuit after a rate limit: paused for as long as it asks, at most `LONGEST`.

        Where it does not say how long, only the threshold's number of them in a row pauses, and shortly: the usual
        answer to a single one is to try again in a moment.
        """
        n_limited = self.n_limited + 1 if retry_after_s is None else 0
        if retry_after_s is None and n_limited < settings.failure_threshold:
            return replace(self, n_limited=n_limited)
        until = now + (RATE_PAUSE if retry_after_s is None else _at_most_longest(retry_after_s))
        if self.paused_until is not None:
            until = max(until, self.paused_until)
        if self.state == "closed" and not self.is_paused(now):
            return replace(self, n_limited=0, paused_until=until, error_kind=RATE_LIMIT, changed_at=now)
        return replace(self, n_limited=0, paused_until=until)


def time_open(n_openings: int, settings: HealthChecks) -> timedelta:
    """Return how long the n-th opening in a row lasts: the interval, doubled each time, at most `LONGEST`."""
    return _at_most_longest(settings.interval_seconds * 2.0 ** min(n_openings - 1, 60))


def _at_most_longest(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST.total_seconds()))
