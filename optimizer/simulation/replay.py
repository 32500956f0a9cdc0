"""Replays one policy on one order of a stream: choose, serve, pay, and learn from what was served when it is rated."""

from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np

from optimizer.decision.belief import FloatArray, IntArray
from optimizer.decision.choice import draw
from optimizer.decision.drift import Alarm
from optimizer.domain import Objective
from optimizer.simulation.knowledge import Clock, Knowledge
from optimizer.simulation.stream import Stream, blocks, served_order

_RATED, _DRAWN = 1_000_001, 1_000_002  # streams of chance beside the tables' own, so that no policy shifts another's


@dataclass(frozen=True)
class ReplaySettings:
    """How a replay is run.

    Attributes
    ----------
    guard : float
        Share of calls that unproven models get under `floor`; 0 switches the guard off.
    holdout, exploration, temperature : float
        Of production's decision; the temperature is the coldest.
    refresh : int
        Calls between two refreshes of beliefs and λ.
    rating_rate : float
        Share of calls that are rated.
    rating_delay : int
        Calls that are made between a call and its rating.
    limit : int or None
        Prompts of each table that are served at most.
    score_last : bool
        Whether the last table alone counts in the means.
    """

    guard: float = 0.0
    holdout: float = 0.02
    exploration: float = 0.0
    temperature: float = 0.4
    refresh: int = 20
    rating_rate: float = 1.0
    rating_delay: int = 0
    calls_per_hour: float = 240.0
    half_life_hours: float = 14.0 * 24.0
    limit: int | None = None
    score_last: bool = False

    @property
    def clock(self) -> Clock:
        """The simulated clock."""
        return Clock(self.calls_per_hour, self.half_life_hours)


@dataclass(frozen=True)
class Played:
    """What came of one replay, call by call in the order of serving.

    Attributes
    ----------
    prompts : ndarray of int, shape (n_calls,)
    shares : ndarray, shape (n_calls, n_arms)
        1 for the arm that served; fractions where a bound mixes.
    decision_s : ndarray, shape (n_calls,)
        Seconds that each decision took; the first after a refresh carries it. Empty for bounds, which decide nothing.
    alarms : tuple of (int, Alarm)
        Each with the call before which it was raised.
    """

    prompts: IntArray
    shares: FloatArray
    decision_s: FloatArray
    alarms: tuple[tuple[int, Alarm], ...] = ()


class Policy(Protocol):
    """What replay asks of a policy."""

    def shares(self, known: Knowledge, prompts: IntArray) -> FloatArray:
        """Return the propensities of each of `prompts`, shape (n_prompts, n_arms); rows sum to 1."""
        ...

    def learn(self, prompts: IntArray, arms: IntArray, calls: IntArray) -> None:
        """Take ratings that arrived, beyond the sums that `Knowledge` keeps."""
        ...


def play(stream: Stream, policy: Policy, objective: Objective, settings: ReplaySettings, seed: int) -> Played:
    """Return what came of `policy` on the order of `seed`."""
    order = served_order(stream, seed, settings.limit)
    rated = np.random.default_rng((seed, _RATED)).random(len(order)) < settings.rating_rate
    uniforms = np.random.default_rng((seed, _DRAWN)).random(len(order))
    known = Knowledge(stream, settings.clock)
    arms, decision_s = np.zeros(len(order), dtype=np.intp), np.zeros(len(order))
    n_arrived = 0
    for block in blocks(stream, order, settings.refresh):
        started = perf_counter()
        known.advance(block.start)
        n_due = max(block.start - settings.rating_delay, n_arrived)
        arrived = n_arrived + np.flatnonzero(rated[n_arrived:n_due])
        _deliver(known, policy, order[arrived], arms[arrived], arrived)
        n_arrived = n_due
        shares = policy.shares(known, order[block])
        refresh_s = perf_counter() - started
        for number, row in enumerate(shares, start=block.start):
            started = perf_counter()
            arms[number] = draw(row, uniforms[number])
            decision_s[number] = perf_counter() - started
        decision_s[block.start] += refresh_s
        _settle(known, stream, objective, order[block], arms[block], block.start)
    served = np.zeros((len(order), len(stream.models)))
    served[np.arange(len(order)), arms] = 1.0
    return Played(order, served, decision_s, tuple(known.alarms))


def _deliver(known: Knowledge, policy: Policy, prompts: IntArray, arms: IntArray, calls: IntArray) -> None:
    if len(calls):
        known.take_ratings(prompts, arms, calls)
        policy.learn(prompts, arms, calls)


def _settle(
    known: Knowledge, stream: Stream, objective: Objective, prompts: IntArray, arms: IntArray, first: int
) -> None:
    known.take_replies(prompts, arms, first + np.arange(len(prompts)))
    if objective.kind == "budget" and objective.amount is not None:
        paid = float(stream.cost_usd[prompts, arms].sum())
        known.spend(len(prompts), paid, objective.amount)
