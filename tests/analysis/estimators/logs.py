"""Small logs for the estimators' tests: drawn from known shares, with rewards of known means."""

import numpy as np

from optimizer.analysis.estimators import LoggedCalls
from optimizer.decision.belief import FloatArray, IntArray


def drawn_log(seed: int, n: int, shares: FloatArray, means: FloatArray, *, rate: float = 1.0) -> LoggedCalls:
    """Return `n` calls without sessions; `shares` and `means` have a row per context."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, len(shares), n)
    distribution = shares[context]
    arm = (rng.random(n)[:, None] > np.cumsum(distribution, axis=1)).sum(axis=1)
    reward = (rng.random(n) < means[context, arm]).astype(np.float64)
    reward[rng.random(n) >= rate] = np.nan
    return logged(arm, distribution, reward, context)


def logged(arm: IntArray, distribution: FloatArray, reward: FloatArray, context: IntArray | None = None) -> LoggedCalls:
    """Return calls without sessions, one a second."""
    at = np.arange(len(arm))
    contexts = np.zeros(len(arm), dtype=np.intp) if context is None else context
    return LoggedCalls(arm, distribution[at, arm], reward, contexts, at, at.astype(np.float64), distribution)


def same_everywhere(calls: LoggedCalls, shares: list[float]) -> FloatArray:
    """Return a target that has the same shares at every call."""
    return np.tile(np.array(shares), (calls.n_calls, 1))
