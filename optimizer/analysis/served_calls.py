"""What savings are made of: served calls as arrays, each beside its use case's baseline, and their draws."""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from optimizer.decision.belief import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Draws:
    """The draw that settled each call: its own, or its session's; arrays of shape (n_calls,).

    Attributes
    ----------
    known : ndarray of bool
        False where something stood above the draw, or it is not known; then nothing else here means anything.
    first : ndarray of bool
        Whether it was this call that was drawn, rather than an earlier one of its session.
    baseline, baseline_share : ndarray of bool, of float
        Whether the baseline was drawn, and how likely that was.
    held_out, held_share : ndarray of bool, of float
        Whether it was held out for the incumbent, known of every call, and how likely that was; 0 where there was no
        experiment.
    for_baseline : ndarray of bool
        Whether that incumbent is the baseline.
    at_s : ndarray
        When the call was decided, seconds since the epoch.
    """

    known: BoolArray
    first: BoolArray
    baseline: BoolArray
    baseline_share: FloatArray
    held_out: BoolArray
    held_share: FloatArray
    for_baseline: BoolArray
    at_s: FloatArray

    def take(self, calls: BoolArray) -> "Draws":
        """Return the draws of some calls."""
        return Draws(*(getattr(self, field.name)[calls] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class ServedCalls:
    """Served calls of one use case in order of time, each beside the baseline; arrays of shape (n_calls,), NaN unknown.

    Attributes
    ----------
    model : ndarray of int
        Code of who served; `baseline_code` is the baseline's.
    paid_usd : ndarray
        What each call cost, failed attempts included.
    output_tokens, answer_tokens : ndarray
        What the model that served wrote, and what of it a baseline would have to write: without its thoughts, where
        the baseline is a model that does not think.
    list_input_usd : ndarray
        What the baseline, at its price then, would have charged for the call's own input.
    list_usd_per_token : ndarray
        And for every token of its answer.
    session : ndarray of int
        A number for each session, the same in all use cases; -1 without one. Calls of one session were decided
        together and resemble each other.
    """

    use_case: str
    baseline: str
    baseline_code: int
    model: IntArray
    paid_usd: FloatArray
    output_tokens: FloatArray
    answer_tokens: FloatArray
    list_input_usd: FloatArray
    list_usd_per_token: FloatArray
    session: IntArray
    draws: Draws

    @property
    def n_calls(self) -> int:
        """Number of calls."""
        return int(self.model.size)

    @cached_property
    def own(self) -> BoolArray:
        """Which calls the baseline served."""
        return np.asarray(self.model == self.baseline_code)

    @property
    def priced(self) -> BoolArray:
        """Of which calls both what was paid and what the baseline would charge are known."""
        return ~np.isnan(self.paid_usd + self.baseline_usd(0.0))

    def baseline_usd(self, output_tokens: float | FloatArray) -> FloatArray:
        """Return what the baseline would have charged for answers of this length; unknown where the call's own is."""
        usd = self.list_input_usd + self.list_usd_per_token * output_tokens
        return np.where(np.isnan(self.output_tokens), np.nan, usd)

    @cached_property
    def unit(self) -> IntArray | None:
        """Number of what is independent of all else, the session or the call; None where no call has a session."""
        if self.n_calls == 0 or int(self.session.max()) < 0:
            return None
        return unit_numbers(self.session)

    @cached_property
    def n_units(self) -> int:
        """Number of sessions, and of calls without one."""
        return self.n_calls if self.unit is None else int(self.unit.max()) + 1

    def by_unit(self, values: FloatArray) -> FloatArray:
        """Return the sum of the calls' values in each unit."""
        if self.unit is None:
            return values
        return np.bincount(self.unit, weights=values, minlength=self.n_units).astype(np.float64)

    def take(self, calls: BoolArray) -> "ServedCalls":
        """Return some of the calls."""
        return replace(self, **{name: getattr(self, name)[calls] for name in _COLUMNS}, draws=self.draws.take(calls))


_COLUMNS = (
    "model",
    "paid_usd",
    "output_tokens",
    "answer_tokens",
    "list_input_usd",
    "list_usd_per_token",
    "session",
)


def unit_numbers(session: IntArray) -> IntArray:
    """Return numbers from 0 without gaps: one for each session, and one for each call without a session (-1)."""
    has = session >= 0
    met = np.zeros(int(session.max(initial=-1)) + 1, dtype=np.bool_)
    met[session[has]] = True
    number = np.cumsum(met) - 1
    found = np.cumsum(~has) - 1 + int(met.sum())
    found[has] = number[session[has]]
    return np.asarray(found, dtype=np.intp)
