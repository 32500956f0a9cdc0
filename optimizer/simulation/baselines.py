"""Baselines of replay: ε-greedy, UCB1 and LinUCB with production's price solver; a fixed model; chance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optimizer.decision.belief import FloatArray, IntArray, RatingSums
from optimizer.domain import Objective
from optimizer.simulation.indices import Indexed, chosen, floors, held_out, missing_quality
from optimizer.simulation.knowledge import Clock, Faded, Knowledge, Outlook
from optimizer.simulation.stream import Stream

EPSILON = 0.1  # fixed, not decaying: the textbook's; under a budget it shrinks until the spend fits
LINUCB_ALPHA = 1.0
RIDGE = 1.0
_RECENT_CALLS = 200  # over which LinUCB, whose every request is a row of its own, solves for λ

Values = Callable[[RatingSums], tuple[FloatArray, FloatArray]]


def empirical_means(ratings: RatingSums) -> FloatArray:
    """Return the mean rating of every cell; of one not rated yet the arm's over all, and 1 of an arm never rated.

    Textbooks try every arm once in every context. Where one rating in ten arrives that would take the whole stream,
    so an arm is tried once in all: that only helps the baselines.
    """
    n, total = ratings.n.sum(axis=0), ratings.total.sum(axis=0)
    arms = np.divide(total, n, out=np.ones_like(n), where=n > 0)
    of_arm = np.broadcast_to(arms, ratings.n.shape).copy()
    return np.asarray(np.divide(ratings.total, ratings.n, out=of_arm, where=ratings.n > 0))


def greedy_values(ratings: RatingSums) -> tuple[FloatArray, FloatArray]:
    """Return (index, mean) of ε-greedy: the empirical mean is both."""
    means = empirical_means(ratings)
    return means, means


def ucb1_values(ratings: RatingSums) -> tuple[FloatArray, FloatArray]:
    """Return (index, mean) of UCB1 in every context by itself: mean + √(2 ln N / n), a cell not rated as if once.

    References
    ----------
    Auer, Cesa-Bianchi & Fischer (2002), Machine Learning 47:235.
    """
    means = empirical_means(ratings)
    total = np.maximum(ratings.n.sum(axis=1, keepdims=True), 1.0)
    return means + np.sqrt(2.0 * np.log(total) / np.where(ratings.n > 0, ratings.n, 1.0)), means


@dataclass(frozen=True)
class Rules:
    """What every baseline with an index is asked for, and how much of it is chance."""

    objective: Objective
    holdout: float
    exploration: float


class ByContext:
    """A baseline whose index is a function of the rating sums; remembers λ only to find the next one faster."""

    def __init__(self, stream: Stream, rules: Rules, values: Values) -> None:
        self._stream = stream
        self._rules = rules
        self._values = values
        self._price = 0.0

    def shares(self, known: Knowledge, prompts: IntArray) -> FloatArray:
        """Return the propensities of each of `prompts`, shape (n_prompts, n_arms)."""
        ratings, at = known.ratings, known.outlook(prompts)
        index, mean = self._values(ratings)
        made, self._price = _priced(
            self._rules, self._stream.incumbent, known, ratings, at, (index[at.context], mean[at.context]), self._price
        )
        return made[at.of_block]

    def learn(self, prompts: IntArray, arms: IntArray, calls: IntArray) -> None:
        """Learn nothing beside what `Knowledge` keeps."""


def _priced(
    rules: Rules,
    incumbent: int,
    known: Knowledge,
    ratings: RatingSums,
    at: Outlook,
    values: tuple[FloatArray, FloatArray],
    guess: float,
) -> tuple[FloatArray, float]:
    floor = floors(rules.objective, empirical_means(ratings)[:, incumbent])
    rows = Indexed(
        *values,
        cost=at.cost,
        traffic=at.traffic,
        floor=None if floor is None else floor[at.context],
        incumbent=incumbent,
        exploration=rules.exploration,
        holdout=held_out(ratings, rules.objective, incumbent, rules.holdout),
    )
    return chosen(
        rows,
        rules.objective,
        pace=known.pace,
        missing=missing_quality(ratings, floor),
        n_rated=float(ratings.n.sum()),
        guess=guess,
    )


class LinUCB:
    """Ridge regression per arm on use case, features and a constant; its own sums fade like all others.

    The index is x·β + α√(x A⁻¹ x) with A = RIDGE·1 + Σ x xᵀ and β = A⁻¹ Σ x y.

    References
    ----------
    Li, Chu, Langford & Schapire (2010), WWW, algorithm 1 (disjoint models).
    """

    def __init__(self, stream: Stream, rules: Rules, clock: Clock) -> None:
        self._stream = stream
        self._rules = rules
        self._clock = clock
        self._x = design(stream)
        n_arms, width = len(stream.models), self._x.shape[1]
        self._sums = Faded((n_arms, width, width + 1), clock.half_life_buckets)  # Σ x xᵀ, and Σ x y as a last column
        self._recent = np.zeros(0, dtype=np.intp)
        self._price = 0.0
        self._take_prior()

    def shares(self, known: Knowledge, prompts: IntArray) -> FloatArray:
        """Return the propensities of each of `prompts`, shape (n_prompts, n_arms)."""
        asked = np.concatenate([self._recent, prompts])
        at = _one_row_each(known.outlook(prompts), self._stream.row[asked], len(self._recent))
        sums = self._sums.read(known.bucket)
        values = linucb_values(self._x[asked], sums[:, :, :-1], sums[:, :, -1])
        made, self._price = _priced(self._rules, self._stream.incumbent, known, known.ratings, at, values, self._price)
        self._recent = asked[-_RECENT_CALLS:]
        return made[at.of_block]

    def learn(self, prompts: IntArray, arms: IntArray, calls: IntArray) -> None:
        """Take ratings that arrived, in the buckets of their calls."""
        self._take(prompts, arms, self._sums.weight(self._clock.bucket(calls)))

    def _take(self, prompts: IntArray, arms: IntArray, weight: FloatArray) -> None:
        for arm in np.unique(arms):
            mine = arms == arm
            x, reward = self._x[prompts[mine]], self._stream.quality[prompts[mine], arm]
            weighted = (x * weight[mine, None]).T
            self._sums.add((arm,), np.concatenate([weighted @ x, (weighted @ reward)[:, None]], axis=1))

    def _take_prior(self) -> None:
        for arm in range(len(self._stream.models)):
            rated = np.flatnonzero(~np.isnan(self._stream.quality[: self._stream.n_prior, arm]))
            self._take(rated, np.full_like(rated, arm), np.ones(len(rated)))


def design(stream: Stream) -> FloatArray:
    """Return LinUCB's x of every prompt: use case as 0 and 1, standardised features where there are any, a constant."""
    parts = [np.eye(len(stream.use_cases))[stream.use_case], np.ones((len(stream.use_case), 1))]
    if stream.features is not None:
        spread = stream.features.std(axis=0)
        parts.append((stream.features - stream.features.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
    return np.concatenate(parts, axis=1)


def linucb_values(x: FloatArray, squares: FloatArray, rewards: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (index, mean), shape (n_rows, n_arms), of rows `x` from Σ x xᵀ and Σ x y of every arm."""
    inverse = np.linalg.inv(squares + RIDGE * np.eye(x.shape[1]))
    mean = x @ np.einsum("aij,aj->ia", inverse, rewards)
    spread = np.stack([((x @ of_arm) * x).sum(axis=1) for of_arm in inverse], axis=1)
    return mean + LINUCB_ALPHA * np.sqrt(np.maximum(spread, 0.0)), mean


def _one_row_each(at: Outlook, rows: IntArray, n_recent: int) -> Outlook:
    """Return the outlook with a row for every request; those that ask now weigh next to nothing in λ."""
    position = np.searchsorted(at.rows, rows)
    traffic = np.where(np.arange(len(rows)) < n_recent, 1.0, 1e-3)
    return Outlook(
        rows, np.arange(n_recent, len(rows)), at.context[position], at.cost[position], traffic / traffic.sum()
    )


class Constant:
    """Serves with the same shares whatever happens: a fixed model, or chance."""

    def __init__(self, shares: FloatArray) -> None:
        self._shares = shares

    @classmethod
    def fixed(cls, stream: Stream, model: str) -> "Constant":
        """Serve `model` alone."""
        return cls(np.eye(len(stream.models))[stream.models.index(model)])

    @classmethod
    def random(cls, stream: Stream) -> "Constant":
        """Serve all models alike."""
        return cls(np.full(len(stream.models), 1.0 / len(stream.models)))

    def shares(self, known: Knowledge, prompts: IntArray) -> FloatArray:  # noqa: ARG002 - needs to know nothing
        """Return the propensities of each of `prompts`, shape (n_prompts, n_arms)."""
        return np.tile(self._shares, (len(prompts), 1))

    def learn(self, prompts: IntArray, arms: IntArray, calls: IntArray) -> None:
        """Learn nothing."""
