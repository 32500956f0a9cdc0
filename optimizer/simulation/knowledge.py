"""What a replayed policy knows: ratings, usage and traffic of the calls it served, fading on the simulated clock."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from optimizer.decision.belief import BoolArray, FloatArray, IntArray, RatingSums
from optimizer.decision.cost import UsageSums, expected_cost
from optimizer.decision.drift import SCANNED_S, Alarm, Buckets, alarms_in, changed_since, weight_before
from optimizer.decision.evidence import FINE_S, QUALITY
from optimizer.decision.price import Pace
from optimizer.simulation.history import PAST, History
from optimizer.simulation.stream import Stream

BUCKETS_PER_HOUR = 4
_UNSEEN_TRAFFIC = 1e-3  # calls; a row that asks for the first time must weigh something in λ
_NO_COST_USD = 1e-3  # of every model alike, before a price or a paid call tells them apart


class Faded:
    """Sums over calls of weight 2^(−age/half-life), age in whole buckets.

    All sums fade at one rate, so they are kept at the weight that they had in bucket `origin` and scaled on reading.
    """

    def __init__(self, shape: tuple[int, ...], half_life_buckets: float) -> None:
        self._sums = np.zeros(shape)
        self._half_life = half_life_buckets
        self._origin = 0

    def weight(self, bucket: int | IntArray) -> FloatArray:
        """Return what a call of `bucket` weighs in the sums as they are kept."""
        ages = (np.asarray(bucket, dtype=np.float64) - self._origin) / self._half_life
        if ages.size and ages.max() > 500.0:  # long before a float overflows
            newest = int(np.max(bucket))
            self._sums *= 2.0 ** -((newest - self._origin) / self._half_life)
            self._origin = newest
            return self.weight(bucket)
        return np.exp2(ages)

    def add(self, where: tuple[Any, ...], values: FloatArray) -> None:
        """Add weighted values at positions, which may repeat."""
        np.add.at(self._sums, where, values)

    def read(self, bucket: int) -> FloatArray:
        """Return the sums as they weigh in `bucket`."""
        return np.asarray(self._sums * 2.0 ** -((bucket - self._origin) / self._half_life))


@dataclass(frozen=True)
class Clock:
    """When calls happen: `calls_per_hour` of them, from hour 0 on."""

    calls_per_hour: float = 240.0
    half_life_hours: float = 14.0 * 24.0

    def bucket(self, call: int | IntArray) -> IntArray:
        """Return the quarter of an hour in which a call happens."""
        return np.asarray(np.floor(np.asarray(call) * (BUCKETS_PER_HOUR / self.calls_per_hour)), dtype=np.intp)

    @property
    def half_life_buckets(self) -> float:
        """The half-life in buckets."""
        return self.half_life_hours * BUCKETS_PER_HOUR


@dataclass(frozen=True)
class Outlook:
    """Whom the next calls are chosen for, and what that is expected to cost.

    Attributes
    ----------
    rows : ndarray of int, shape (n_rows,)
        Rows of the stream that were seen so far or ask now.
    of_block : ndarray of int, shape (n_calls,)
        Position in `rows` of each call of the block.
    context : ndarray of int, shape (n_rows,)
    cost : ndarray, shape (n_rows, n_arms)
    traffic : ndarray, shape (n_rows,)
        Share of the calls so far; sums to 1.
    """

    rows: IntArray
    of_block: IntArray
    context: IntArray
    cost: FloatArray
    traffic: FloatArray


class Knowledge:
    """Everything that was learned so far; nothing of a call that was not served, nothing before it arrives."""

    def __init__(self, stream: Stream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        half_life = clock.half_life_buckets
        self._ratings = Faded((3, *stream.shape), half_life)
        self._history = History((3, *stream.shape))
        self._usage = Faded((6, *stream.shape), half_life)
        self._traffic = Faded((len(stream.row_context),), half_life)
        self.bucket, self.call = 0, 0
        self.alarms: list[tuple[int, Alarm]] = []
        self.pace = Pace()
        self._take_prior()

    def advance(self, call: int) -> None:
        """Turn the clock to a call."""
        self.call = call
        self.bucket = int(self._clock.bucket(call))

    def take_ratings(self, prompts: IntArray, arms: IntArray, calls: IntArray) -> None:
        """Add the ratings of served prompts, in the buckets of their calls."""
        self._take_ratings(prompts, arms, self._clock.bucket(calls))

    def take_replies(self, prompts: IntArray, arms: IntArray, calls: IntArray) -> None:
        """Add what served calls used and cost."""
        self._take_usage(prompts, arms, self._usage.weight(self._clock.bucket(calls)))
        self._traffic.add((self._stream.row[prompts],), self._traffic.weight(self._clock.bucket(calls)))

    def spend(self, n: int, paid_usd: float, usd_per_call: float) -> None:
        """Note what some calls cost against what was promised for each."""
        self.pace = self.pace.after(n, paid_usd, usd_per_call)

    def watch(self) -> None:
        """Look for drift in the ratings so far; alarms are kept, with the call before which they were raised."""
        numbers, sums = self._history.since(self.bucket - SCANNED_S // FINE_S)
        buckets = Buckets(numbers * FINE_S, sums[:, 0], sums[:, 1], sums[:, 2])
        known = [alarm for _, alarm in self.alarms]
        found = alarms_in({QUALITY: buckets}, self._stream.models, known)
        self.alarms += ((self.call, alarm) for alarm in found)

    @property
    def ratings(self) -> RatingSums:
        """Faded ratings of every cell; those before a model's latest alarm weigh less."""
        sums = self._ratings.read(self.bucket)
        if self.alarms:
            before = self._before_alarms()
            sums = np.maximum(sums - (1.0 - weight_before(before[0].sum(axis=0))) * before, 0.0)
        return RatingSums(sums[0], sums[1], sums[2], self._stream.context_use_case)

    @property
    def given(self) -> RatingSums:
        """Faded ratings of every cell, whatever was alarmed: what was given stays given."""
        n, total, square = self._ratings.read(self.bucket)
        return RatingSums(n, total, square, self._stream.context_use_case)

    @property
    def usage(self) -> UsageSums:
        """Faded usage of every cell."""
        return UsageSums(*self._usage.read(self.bucket))

    def outlook(self, prompts: IntArray) -> Outlook:
        """Return what is expected of the traffic so far and of the calls that ask now."""
        stream, calls = self._stream, self._traffic.read(self.bucket)
        asked = calls > 0
        asked[stream.row[prompts]] = True
        rows = np.flatnonzero(asked)
        position = np.cumsum(asked) - 1
        traffic = calls[rows] + _UNSEEN_TRAFFIC
        table = int(stream.table[prompts[0]])
        context = stream.row_context[rows]
        cost = expected_cost(
            self.usage, context, stream.row_tokens[rows], stream.input_usd[table], stream.output_usd[table]
        )
        return Outlook(rows, position[stream.row[prompts]], context, _known(cost), traffic / traffic.sum())

    def _before_alarms(self) -> FloatArray:
        """Return the faded ratings before each model's latest alarm, shape (3, n_contexts, n_models)."""
        since_s = changed_since((alarm for _, alarm in self.alarms), "quality")
        changed = np.array([since_s.get(model, PAST * FINE_S) // FINE_S for model in self._stream.models])
        ages = self.bucket - np.maximum(np.arange(PAST, self.bucket + 1), 0)
        return self._history.before(changed, np.exp2(-ages / self._clock.half_life_buckets))

    def _take_ratings(self, prompts: IntArray, arms: IntArray, buckets: IntArray) -> None:
        reward = self._stream.quality[prompts, arms]
        weight = self._ratings.weight(np.maximum(buckets, 0))
        context = self._stream.context[prompts]
        for position, value in enumerate((np.ones_like(reward), reward, reward**2)):
            self._ratings.add((position, context, arms), weight * value)
            self._history.add(buckets, (position, context, arms), value)

    def _take_usage(self, prompts: IntArray, arms: IntArray, weight: FloatArray) -> None:
        stream, context = self._stream, self._stream.context[prompts]
        said = stream.context_tokens[prompts]
        inputs = stream.input_tokens[prompts, arms]
        outputs = stream.output_tokens[prompts, arms]
        paid = stream.cost_usd[prompts, arms]
        counted = weight * ~np.isnan(outputs)  # input that nobody counted is as long as the request was said to be
        charged = weight * ~np.isnan(paid)
        values = (
            counted,
            counted * said,
            counted * np.where(np.isnan(inputs), said, inputs),
            counted * np.nan_to_num(outputs),
            charged,
            charged * np.nan_to_num(paid),
        )
        for position, value in enumerate(values):
            self._usage.add((position, context, arms), value)

    def _take_prior(self) -> None:
        """Take past ratings as calls just before the first bucket, each prompt once in the traffic."""
        prompts = np.arange(self._stream.n_prior)
        past = np.full_like(prompts, PAST)
        for arm in np.flatnonzero(~np.isnan(self._stream.quality[prompts]).all(axis=0)) if len(prompts) else ():
            arms = np.full_like(prompts, arm)
            self._take_ratings(prompts, arms, past)
            self._take_usage(prompts, arms, np.ones(len(prompts)))
        self._traffic.add((self._stream.row[prompts],), np.ones(len(prompts)))


def _known(cost: FloatArray) -> FloatArray:
    """Return costs without gaps: an arm of unknown cost costs what the others do on average, so it can be tried."""
    unknown: BoolArray = np.isnan(cost)
    if not unknown.any():
        return cost
    n_known = (~unknown).sum(axis=1, keepdims=True)
    mean = np.where(unknown, 0.0, cost).sum(axis=1, keepdims=True) / np.maximum(n_known, 1)
    return np.where(unknown, np.where(n_known > 0, mean, _NO_COST_USD), cost)
