"""Logged calls as arrays: who was drawn and how likely that was, what came of it, and which calls belong together."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizer.decision.belief import BoolArray, FloatArray, IntArray
from optimizer.errors import InvalidRequest

_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class LoggedCalls:
    """Calls of one use case, or of several with the same arms, in order of time.

    Hand in only calls whose draw was followed: what a pin, a rule or a flag chose says nothing of the model drawn.
    After a failover the arm is still the one drawn first, and the reward what came of it.

    Attributes
    ----------
    arm : ndarray of int, shape (n_calls,)
        Who was drawn.
    propensity : ndarray, shape (n_calls,)
        How likely that draw was, in (0, 1]; NaN on later turns of a session, which were not drawn.
    reward : ndarray, shape (n_calls,)
        What is to be averaged: quality, dollars, seconds; NaN where it is not known.
    context : ndarray of int, shape (n_calls,)
        What the distribution hung on, as a code from 0: segment, or segment and length.
    unit : ndarray of int, shape (n_calls,)
        The session, or a number of its own for a call without one: what is independent of all else.
    time_s : ndarray, shape (n_calls,)
        When it was decided; must not fall.
    distribution : ndarray, shape (n_calls, n_arms), optional
        All that was drawn from; without it nobody can tell which part of a target was out of reach.
    features : ndarray, shape (n_calls, n_features), optional
        What else was known before the choice.

    Raises
    ------
    InvalidRequest
        If shapes, ranges or the order are wrong, or a session begins without a draw; the error names the field.
    """

    arm: IntArray
    propensity: FloatArray
    reward: FloatArray
    context: IntArray
    unit: IntArray
    time_s: FloatArray
    distribution: FloatArray | None = None
    features: FloatArray | None = None

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_values(self)
        if not self.drawn[self._first_turns].all():
            raise InvalidRequest("propensity", "a session begins without a draw; leave it out: see `whole_sessions`")

    @property
    def n_calls(self) -> int:
        """Number of calls."""
        return int(self.arm.size)

    @property
    def n_units(self) -> int:
        """Number of sessions, and of calls without one."""
        return int(self._first_turns.size)

    @cached_property
    def drawn(self) -> BoolArray:
        """Whether each call was drawn; later turns of a session were not."""
        return ~np.isnan(self.propensity)

    @cached_property
    def rated(self) -> BoolArray:
        """Whether each call's reward is known."""
        return ~np.isnan(self.reward)

    @cached_property
    def unit_number(self) -> IntArray:
        """Each call's unit, numbered from 0 in the order of the units' names."""
        return np.asarray(self._units[1].reshape(-1), dtype=np.intp)

    @cached_property
    def draw(self) -> IntArray:
        """Position of the draw that settled each call: its own, or the last one of its session."""
        order = np.lexsort((np.arange(self.n_calls), self.unit_number))
        latest = np.maximum.accumulate(np.where(self.drawn[order], np.arange(self.n_calls), 0))
        found = np.empty(self.n_calls, dtype=np.intp)
        found[order] = order[latest]
        return found

    @cached_property
    def _units(self) -> tuple[IntArray, IntArray]:
        _, first, number = np.unique(self.unit, return_index=True, return_inverse=True)
        return np.asarray(first, dtype=np.intp), np.asarray(number, dtype=np.intp)

    @property
    def _first_turns(self) -> IntArray:
        return self._units[0]

    def take(self, calls: IntArray | BoolArray) -> "LoggedCalls":
        """Return some of the calls, by position or by mask; sessions must stay whole or be cut at their end."""
        return replace(self, **{name: values[calls] for name, values in _columns(self).items()})

    def beginning(self, since_s: float) -> "LoggedCalls":
        """Return the calls of sessions that began at or after a time, such as where a policy's training ended."""
        began = self.time_s[self._first_turns][self.unit_number]
        return self.take(began >= since_s)

    def with_rewards(self, reward: FloatArray) -> "LoggedCalls":
        """Return the same calls with something else to be averaged, such as what they cost."""
        return replace(self, reward=reward)


def whole_sessions(unit: IntArray, propensity: FloatArray) -> BoolArray:
    """Return which calls, in order of time, belong to sessions whose first draw is among them."""
    _, first, number = np.unique(unit, return_index=True, return_inverse=True)
    return np.asarray(~np.isnan(propensity[first])[number.reshape(-1)])


def check_target(calls: LoggedCalls, target: FloatArray) -> None:
    """Refuse a target policy that is no distribution over the arms for every call."""
    if target.ndim != 2 or len(target) != calls.n_calls or target.shape[1] <= calls.arm.max():
        raise InvalidRequest("target", "must have a row for every call and a column for every arm")
    if calls.distribution is not None and target.shape != calls.distribution.shape:
        raise InvalidRequest("target", "must have the arms of the logged distribution")
    if not (target >= 0.0).all() or not np.allclose(target.sum(axis=1), 1.0, atol=_ROUNDING):
        raise InvalidRequest("target", "must hold probabilities, and rows that sum to 1")


def _columns(calls: LoggedCalls) -> dict[str, npt.NDArray[Any]]:
    found = {field.name: getattr(calls, field.name) for field in fields(calls)}
    return {name: values for name, values in found.items() if values is not None}


def _check_shapes(calls: LoggedCalls) -> None:
    n = calls.arm.size
    for name, values in _columns(calls).items():
        if values.ndim != (2 if name in ("distribution", "features") else 1) or len(values) != n or not n:
            raise InvalidRequest(name, f"must have one row for each of {n} calls, of which there must be some")


def _check_values(calls: LoggedCalls) -> None:
    drawn, shares = ~np.isnan(calls.propensity), calls.distribution
    if calls.arm.min() < 0 or calls.context.min() < 0:
        raise InvalidRequest("arm" if calls.arm.min() < 0 else "context", "must be codes from 0 on")
    if not ((calls.propensity[drawn] > 0.0) & (calls.propensity[drawn] <= 1.0 + _ROUNDING)).all():
        raise InvalidRequest("propensity", "must lie in (0, 1], or be NaN where nothing was drawn")
    if np.isinf(calls.reward).any():
        raise InvalidRequest("reward", "must be finite, or NaN where it is not known")
    if not (np.diff(calls.time_s) >= 0.0).all():
        raise InvalidRequest("time_s", "must not fall: sort the calls by time")
    if calls.features is not None and not np.isfinite(calls.features).all():
        raise InvalidRequest("features", "must be finite")
    if shares is None:
        return
    if calls.arm.max() >= shares.shape[1] or not np.allclose(shares[drawn].sum(axis=1), 1.0, atol=_ROUNDING):
        raise InvalidRequest("distribution", "must have a column for every arm, and rows that sum to 1")
    if not np.allclose(shares[drawn, calls.arm[drawn]], calls.propensity[drawn], atol=_ROUNDING):
        raise InvalidRequest("distribution", "must agree with the propensity of the arm that was drawn")
