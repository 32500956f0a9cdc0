"""What a call is expected to cost: learned tokens at the price in force, or the mean of what was paid."""

from dataclasses import dataclass, fields

import numpy as np

from optimizer.decision.belief import FloatArray, IntArray

START_OUTPUT_TOKENS = 300.0  # of a model in a use case that nobody has called yet
_SHRINKAGE_CALLS = 5.0  # calls at which a cell's (a model's) own mean counts half


@dataclass(frozen=True)
class UsageSums:
    """Faded sums over served calls, every array of shape (n_contexts, n_arms).

    Attributes
    ----------
    n : ndarray
        Calls of known usage.
    context_tokens : ndarray
        Length that those requests were said to have before the choice.
    input_tokens, output_tokens : ndarray
        What they came to.
    n_paid, paid_usd : ndarray
        Calls of known cost, and their cost in dollars.
    """

    n: FloatArray
    context_tokens: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    n_paid: FloatArray
    paid_usd: FloatArray

    def arms(self, arms: IntArray) -> "UsageSums":
        """Return the sums of some arms only."""
        return UsageSums(*(getattr(self, each.name)[:, arms] for each in fields(self)))


def shrunk_mean(n: FloatArray, total: FloatArray, start: float) -> FloatArray:
    """Return the arithmetic mean of every cell, shrunk to its model's, which is shrunk to the mean over all.

    Parameters
    ----------
    n, total : ndarray, shape (n_contexts, n_arms)
    start : float
        Mean before any call, worth one.
    """
    k = _SHRINKAGE_CALLS
    overall = (start + total.sum()) / (1.0 + n.sum())
    model = (k * overall + total.sum(axis=0)) / (k + n.sum(axis=0))
    return np.asarray((k * model + total) / (k + n))


def input_ratio(usage: UsageSums) -> FloatArray:
    """Return how many tokens a model counts for each token that the request was said to have, per arm.

    Models count the same text differently; before any call the ratio is 1.
    """
    typical = usage.context_tokens.sum() / max(usage.n.sum(), 1.0)
    weight = _SHRINKAGE_CALLS * max(typical, 1.0)
    return np.asarray((weight + usage.input_tokens.sum(axis=0)) / (weight + usage.context_tokens.sum(axis=0)))


def expected_cost(
    usage: UsageSums,
    context: IntArray,
    context_tokens: FloatArray,
    input_usd: FloatArray,
    output_usd: FloatArray,
    *,
    output_tokens: float | None = None,
) -> FloatArray:
    """Return the expected dollars of a call for every row and arm.

    Parameters
    ----------
    usage : UsageSums
    context : ndarray of int, shape (n_rows,)
        The context that each row belongs to.
    context_tokens : ndarray, shape (n_rows,)
        Length of its requests.
    input_usd, output_usd : ndarray, shape (n_arms,) or (n_rows, n_arms)
        Dollars per token now in force; NaN is unknown, and then the mean of what was paid stands in.
    output_tokens : float, optional
        Completion tokens to expect, where the caller knows better than the past.

    Returns
    -------
    ndarray, shape (n_rows, n_arms)
        NaN where neither a price nor a paid call is known.
    """
    inputs = context_tokens[:, None] * input_ratio(usage)
    learned = shrunk_mean(usage.n, usage.output_tokens, START_OUTPUT_TOKENS)[context]
    outputs = learned if output_tokens is None else np.full_like(learned, output_tokens)
    priced = inputs * input_usd + outputs * output_usd
    if not np.isnan(priced).any():
        return np.asarray(priced)
    return np.where(np.isnan(priced), paid_mean(usage)[context], priced)


def paid_mean(usage: UsageSums) -> FloatArray:
    """Return the shrunk mean of what was paid; NaN where nothing ever was."""
    n_paid = usage.n_paid.sum()
    if n_paid == 0:
        return np.full_like(usage.n_paid, np.nan)
    return shrunk_mean(usage.n_paid, usage.paid_usd, usage.paid_usd.sum() / n_paid)
