"""From beliefs to shares: draws on common random numbers, both rules of choice, the gate and the exploration floor."""

from functools import lru_cache
from hashlib import blake2b

import numpy as np
from scipy.special import betainc, betaincinv, ndtr, ndtri

from optimizer.decision.belief import Belief, BoolArray, FloatArray, IntArray

N_SCENARIOS = 256
VOTE_GATE = 0.01  # of the votes; fewer are noise of 256 scenarios
_NODES = np.linspace(-4.5, 4.5, 49)
_NODES_UNIFORM = ndtr(_NODES)
_SMALLEST_SHAPE = 2.0  # below, the quick quantiles are off by up to a fifth of the spread and more


@lru_cache(maxsize=65_536)
def scenario_uniforms(cell: str, model_id: str) -> FloatArray:
    """Return the cell's own stratified uniforms, shape (N_SCENARIOS,), the same in every process and at all times.

    Seeded by (cell, model) alone: every worker comes to the same vector, and a newcomer disturbs nobody's draws.
    """
    seed = int.from_bytes(blake2b(f"{cell}\x1f{model_id}".encode(), digest_size=8).digest())
    rng = np.random.Generator(np.random.PCG64(seed))
    uniforms = (rng.permutation(N_SCENARIOS) + rng.random(N_SCENARIOS)) / N_SCENARIOS
    uniforms.setflags(write=False)
    return uniforms


def beta_quantile(mean: FloatArray, strength: FloatArray, normals: FloatArray) -> FloatArray:
    """Return quantiles of Beta(μs, (1−μ)s), to about a hundredth of the spread and .08 of it at worst.

    Parameters
    ----------
    mean, strength : ndarray, shape (...,)
        μ in (0, 1) and s = a + b > 0.
    normals : ndarray, shape (..., n)
        Which quantiles, as standard normal quantiles of the same probabilities.

    Returns
    -------
    ndarray, shape (..., n)

    References
    ----------
    Abramowitz & Stegun 26.5.22 where both shapes are at least two, about 30 times faster than inverting the
    incomplete beta function, which serves the rest at some points, with straight lines between.
    """
    a, b = (mean * strength)[..., None], ((1.0 - mean) * strength)[..., None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ra, rb = 1.0 / (2.0 * a - 1.0), 1.0 / (2.0 * b - 1.0)
        h = 2.0 / (ra + rb)
        shift = (normals**2 - 3.0) / 6.0
        w = normals * np.sqrt(h + shift) / h + (rb - ra) * (shift + 5.0 / 6.0 - 2.0 / (3.0 * h))
        theta = a / (a + b * np.exp(-2.0 * w))
    rough = np.minimum(a, b)[..., 0] < _SMALLEST_SHAPE
    if rough.any():
        theta[rough] = _interpolated(a[rough], b[rough], normals[rough])
    return np.asarray(theta)


def _interpolated(a: FloatArray, b: FloatArray, normals: FloatArray) -> FloatArray:
    """Return quantiles between 49 exact ones, evenly spaced in standard normal quantiles."""
    exact = betaincinv(a, b, _NODES_UNIFORM)
    return np.array([np.interp(z, _NODES, theta) for z, theta in zip(normals, exact, strict=True)])


def floor_chances(mean: FloatArray, strength: FloatArray, threshold: FloatArray) -> FloatArray:
    """Return P(θ ≥ threshold) of every cell, θ ~ Beta(μs, (1−μ)s)."""
    return np.asarray(1.0 - betainc(mean * strength, (1.0 - mean) * strength, np.clip(threshold, 0.0, 1.0)))


def scenarios(belief: Belief, cells: tuple[str, ...], models: tuple[str, ...]) -> FloatArray:
    """Return 256 qualities of every cell, drawn from the tempered belief on the cell's own uniforms.

    Returns
    -------
    ndarray, shape (n_arms, n_contexts, N_SCENARIOS)
        The arm axis comes first, so that scenarios are compared arm by arm over contiguous memory.
    """
    return beta_quantile(belief.mean.T, belief.tempered().T, _normals(cells, models))


@lru_cache(maxsize=256)
def _normals(cells: tuple[str, ...], models: tuple[str, ...]) -> FloatArray:
    return np.asarray(ndtri([[scenario_uniforms(cell, model) for cell in cells] for model in models]))


def score_votes(
    theta: FloatArray, context: IntArray, cost: FloatArray, eligible: BoolArray, price: float
) -> FloatArray:
    """Return the share of scenarios in which each arm has the best score, quality − λ·cost.

    Parameters
    ----------
    theta : ndarray, shape (n_arms, n_contexts, n_scenarios)
    context : ndarray of int, shape (n_rows,) or (n_rows, n_arms)
        The context that each row belongs to; of each arm by itself, where their scenarios come from several.
    cost : ndarray, shape (n_rows, n_arms)
        Expected dollars of a call. Not read where `eligible` is false; NaN wins nothing, unless λ is 0.
    eligible : ndarray of bool, shape (n_rows, n_arms)
    price : float
        λ ≥ 0, quality per dollar.

    Returns
    -------
    ndarray, shape (n_rows, n_arms)
        Rows sum to 1, or to 0 where nothing is eligible. Votes under 1% are none: that is the noise of 256 scenarios.
    """
    n_rows, n_arms = cost.shape
    n_scenarios = theta.shape[2]
    of_arm = context if context.ndim == 2 else np.broadcast_to(context[:, None], (n_rows, n_arms))
    charge = np.where(eligible, price * np.where(eligible, cost, 0.0) if price else 0.0, np.inf)
    best = np.full((n_rows, n_scenarios), -np.inf)
    winner = np.zeros((n_rows, n_scenarios), dtype=np.intp)
    for arm in range(n_arms):
        score = theta[arm][of_arm[:, arm]] - charge[:, arm, None]
        better = score > best
        np.copyto(best, score, where=better)
        np.copyto(winner, arm, where=better)
    flat = winner + np.arange(n_rows)[:, None] * n_arms
    votes = np.bincount(flat.ravel(), minlength=n_rows * n_arms).reshape(n_rows, n_arms) / n_scenarios
    return normalised(np.where(eligible & (votes >= VOTE_GATE), votes, 0.0))


def floor_votes(chances: FloatArray, cost: FloatArray, eligible: BoolArray, incumbent: IntArray) -> FloatArray:
    """Return the probability that each arm is the cheapest good enough one, in closed form.

    In order of cost, arm i wins with t_i ∏(1 − t_j) over the cheaper j; what remains goes to the incumbent, or to
    the arm most likely good enough where the incumbent is not eligible.

    Parameters
    ----------
    chances : ndarray, shape (n_contexts, n_arms)
        t, the probability that the arm is good enough; 1 for the incumbent under a relative floor.
    cost : ndarray, shape (n_contexts, n_arms)
        What the order is made by, in dollars.
    eligible : ndarray of bool, shape (n_contexts, n_arms)
    incumbent : ndarray of int, shape (n_contexts,)
    """
    rows = np.arange(len(cost))
    every = rows[:, None]
    order = np.argsort(np.where(eligible, cost, np.inf), axis=1, kind="stable")
    chance = np.where(eligible, chances, 0.0)[every, order]
    missed = np.cumprod(1.0 - chance, axis=1)
    won = chance.copy()
    won[:, 1:] *= missed[:, :-1]
    votes = np.empty_like(won)
    votes[every, order] = won
    heir = incumbent
    if not (served := eligible[rows, incumbent]).all():
        heir = np.where(served, incumbent, np.where(eligible, chances, -1.0).argmax(axis=1))
    votes[rows, heir] += missed[:, -1]
    return np.where(eligible, votes, 0.0)


def explore(shares: FloatArray, left_in: BoolArray, exploration: float) -> FloatArray:
    """Return the shares mixed with the exploration floor over the arms that are left in."""
    n_left = np.maximum(left_in.sum(axis=1, keepdims=True), 1)
    spread = left_in / n_left * shares.sum(axis=1, keepdims=True)
    return np.asarray((1.0 - exploration) * shares + exploration * spread)


def normalised(shares: FloatArray) -> FloatArray:
    """Return the rows scaled to sum to 1; rows of zeros stay."""
    total = shares.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(shares, total, out=np.zeros_like(shares), where=total > 0))


def draw(shares: FloatArray, uniform: float) -> int:
    """Return the arm that a uniform number in [0, 1) picks from one row of shares."""
    cumulative = np.cumsum(shares)
    return int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
