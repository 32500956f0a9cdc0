"""The time-blocked bootstrap: whole stretches of the log are drawn again, so what hangs together in time stays so."""

from collections.abc import Callable

import numpy as np

from optimizer.analysis.estimators.logged import LoggedCalls
from optimizer.decision.belief import FloatArray, IntArray
from optimizer.errors import InvalidRequest

N_BLOCKS = 50


def bootstrap(
    n_blocks: int,
    statistic: Callable[[FloatArray], float],
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 1_000,
) -> tuple[float, float, float]:
    """Return (low, high, standard error) of a statistic by the percentiles of resampled logs.

    Parameters
    ----------
    n_blocks : int
        From `time_blocks`; they are drawn with replacement.
    statistic : callable
        From how often each block was drawn, shape (n_blocks,), to a number; NaN where it has none. A ratio of sums
        over calls is a ratio of `times @ sums_by_block`.

    Raises
    ------
    InvalidRequest
        If there are fewer than two blocks, or hardly a resample has a value.
    """
    if n_blocks < 2:
        raise InvalidRequest("n_blocks", "must be two at least")
    times = rng.multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), size=n_resamples).astype(np.float64)
    found = np.array([statistic(drawn) for drawn in times])
    found = found[~np.isnan(found)]
    if found.size < max(2, n_resamples // 2):
        raise InvalidRequest("statistic", "has no value on most resamples of the log")
    low, high = np.quantile(found, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return float(low), float(high), float(found.std(ddof=1))


def time_blocks(calls: LoggedCalls, n_blocks: int = N_BLOCKS) -> IntArray:
    """Return the block of each call, from 0: as many sessions in each, in the order in which they began."""
    heads = np.unique(calls.unit_number, return_index=True)[1]
    rank = np.empty(calls.n_units, dtype=np.intp)
    rank[np.argsort(heads, kind="stable")] = np.arange(calls.n_units)
    return np.asarray(rank[calls.unit_number] * min(n_blocks, calls.n_units) // calls.n_units)
