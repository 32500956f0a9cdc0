"""What hindsight could have done: the best fixed mixture per use case, and the best model of every prompt."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linprog

from optimizer.decision.belief import FloatArray, IntArray
from optimizer.domain import Objective
from optimizer.simulation.indices import best_score
from optimizer.simulation.replay import Played, ReplaySettings
from optimizer.simulation.stream import Stream, blocks, served_order

BOUNDS = ("static-mix", "oracle")
_LOW, _HIGH = -60.0, 120.0  # log₂ of the λ between which every choice is made
_HALVINGS = 64  # of that range: until floats cannot tell its ends apart


def hindsight(stream: Stream, name: str, objective: Objective, settings: ReplaySettings, seed: int) -> Played:
    """Return what `static-mix` or `oracle` would have served on the order of `seed`, knowing every outcome.

    Each stretch of calls that counts together meets the objective by itself: the whole stream, or, where only the last
    table counts, the last table. A mixture is served as fractions, so nothing is left to chance.
    """
    order = served_order(stream, seed, settings.limit)
    shares = np.zeros((len(order), len(stream.models)))
    for stretch in _stretches(stream, order, settings):
        prompts = order[stretch]
        quality, cost = stream.quality[prompts], stream.cost_usd[prompts]
        if name == "oracle":
            floor = _floors(quality, stream.use_case[prompts], objective, stream.incumbent)
            shares[stretch] = oracle(quality, cost, objective, floor)
        else:
            shares[stretch] = static_mix(quality, cost, stream.use_case[prompts], objective, stream.incumbent)
    return Played(order, shares, np.zeros(0))


def oracle(quality: FloatArray, cost: FloatArray, objective: Objective, floor: FloatArray) -> FloatArray:
    """Return the best shares of every prompt.

    Parameters
    ----------
    quality, cost : ndarray, shape (n_prompts, n_arms)
    objective : Objective
    floor : ndarray, shape (n_prompts,)
        The quality asked for, where one is: of each prompt (`floor`), or on average (`average`).

    Returns
    -------
    ndarray, shape (n_prompts, n_arms)
        Under `budget` and `average` the optimum of the linear programme: prompts at the very margin are mixed. Under
        `floor` the cheapest model at the floor, and the best where none is; cheaper ones first among equals.
    """
    n_arms = quality.shape[1]
    if objective.kind == "floor":
        good = np.where(quality >= floor[:, None], cost, np.inf)
        return np.eye(n_arms)[
            np.where(np.isfinite(good).any(axis=1), good.argmin(axis=1), best_score(quality, cost, 0.0))
        ]
    if objective.kind == "value" and objective.amount is not None:
        return np.eye(n_arms)[best_score(quality, cost, 1.0 / objective.amount)]
    if objective.kind == "budget" and objective.amount is not None:
        return _at_margin(quality, cost, cost, objective.amount * len(cost))
    if objective.kind == "average":
        return _at_margin(quality, cost, quality, float(floor.sum()))
    return np.eye(n_arms)[best_score(quality, cost, 0.0)]


def static_mix(
    quality: FloatArray, cost: FloatArray, use_case: IntArray, objective: Objective, incumbent: int
) -> FloatArray:
    """Return the shares of every prompt under the best fixed mixture of models in each use case.

    Parameters
    ----------
    quality, cost : ndarray, shape (n_prompts, n_arms)
    use_case : ndarray of int, shape (n_prompts,)
    objective : Objective
        `budget` buys the most quality within the spend over all use cases together; `average` the least spend that
        reaches the quality; `floor` the least spend that reaches it in each use case, and the best model where none
        does; `value` and `quality` the best single model of each use case.
    incumbent : int
        What a relative floor refers to.
    """
    _, at = np.unique(use_case, return_inverse=True)
    n = np.bincount(at).astype(np.float64)
    mean_quality, mean_cost = _group_means(quality, at, n), _group_means(cost, at, n)
    floor = _group_means(_floors(quality, use_case, objective, incumbent)[:, None], at, n)[:, 0]
    if objective.kind == "floor":
        pairs = zip(mean_quality, mean_cost, floor, strict=True)
        return np.concatenate([_mixture(q[None], c[None], np.ones(1), at_least=asked) for q, c, asked in pairs])[at]
    if objective.kind == "average":
        return _mixture(mean_quality, mean_cost, n / n.sum(), at_least=float(n @ floor / n.sum()))[at]
    if objective.kind == "budget":
        return _mixture(mean_quality, mean_cost, n / n.sum(), within=objective.amount)[at]
    price = 1.0 / objective.amount if objective.kind == "value" and objective.amount is not None else 0.0
    return np.asarray(np.eye(quality.shape[1])[best_score(mean_quality, mean_cost, price)][at])


def _mixture(
    quality: FloatArray,
    cost: FloatArray,
    weight: FloatArray,
    *,
    within: float | None = None,
    at_least: float | None = None,
) -> FloatArray:
    """Return the best mixture of every group, shape (n_groups, n_arms), by linear programming.

    The most quality with a mean cost `within` a spend, or the least cost with a mean quality of `at_least` so much;
    where that cannot be, the cheapest, or the best, there is.
    """
    n_groups, n_arms = quality.shape
    q, c = (weight[:, None] * quality).ravel(), (weight[:, None] * cost).ravel()
    scale = float(np.abs(c).max()) or 1.0  # dollars are tiny beside the solver's tolerances
    one_each = np.kron(np.eye(n_groups), np.ones(n_arms))
    if within is not None:
        goal, row, bound = -q, c / scale, within / scale
        impossible = cost.argmin(axis=1)
    else:
        goal, row, bound = c / scale, -q, -(at_least or 0.0)
        impossible = best_score(quality, cost, 0.0)
    found = linprog(goal, A_ub=row[None], b_ub=[bound], A_eq=one_each, b_eq=np.ones(n_groups), bounds=(0, 1))
    if not found.success:
        return np.asarray(np.eye(n_arms)[impossible])
    mix = np.clip(found.x.reshape(n_groups, n_arms), 0.0, None)
    return np.asarray(mix / mix.sum(axis=1, keepdims=True))


def _at_margin(quality: FloatArray, cost: FloatArray, measured: FloatArray, target: float) -> FloatArray:
    """Return shares on the frontier of quality and cost whose sum of `measured`, one of the two, meets the target.

    Choices at the two ends of the smallest interval of λ that can be told apart differ only in prompts that λ is
    indifferent about, so any mixture of them is optimal (Lagrange); one of them meets the target exactly.
    """
    arms = np.eye(quality.shape[1])

    def total(price: float) -> float:
        return float(measured[np.arange(len(measured)), best_score(quality, cost, price)].sum())

    low, high = _LOW, _HIGH
    if total(0.0) <= target:
        return arms[best_score(quality, cost, 0.0)]
    if total(2.0**high) >= target:
        return arms[best_score(quality, cost, 2.0**high)]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if total(2.0**middle) > target else (low, middle)
    more, less = total(2.0**low), total(2.0**high)
    part = (target - less) / (more - less) if more > less else 0.0
    mixed = part * arms[best_score(quality, cost, 2.0**low)] + (1.0 - part) * arms[best_score(quality, cost, 2.0**high)]
    return np.asarray(mixed)


def _floors(quality: FloatArray, use_case: IntArray, objective: Objective, incumbent: int) -> FloatArray:
    """Return the quality asked for of each prompt; a relative one refers to the incumbent's mean in its use case."""
    amount = objective.amount if objective.kind in ("floor", "average") and objective.amount is not None else 0.0
    if not objective.relative:
        return np.full(len(quality), amount)
    _, at = np.unique(use_case, return_inverse=True)
    n = np.bincount(at).astype(np.float64)
    return np.asarray(amount * _group_means(quality[:, incumbent : incumbent + 1], at, n)[at, 0])


def _group_means(values: FloatArray, group: IntArray, n: FloatArray) -> FloatArray:
    sums = np.zeros((len(n), values.shape[1]))
    np.add.at(sums, group, values)
    return np.asarray(sums / n[:, None])


def _stretches(stream: Stream, order: IntArray, settings: ReplaySettings) -> Iterator[slice]:
    """Yield the calls that count together."""
    if settings.score_last:
        yield from blocks(stream, order, len(order))
    else:
        yield slice(0, len(order))
