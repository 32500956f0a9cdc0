"""What a snapshot knows of one use case's candidates in one context, read once and used by every decision there."""

from dataclasses import dataclass

import numpy as np

from optimizer.decision.belief import Belief, FloatArray, IntArray
from optimizer.domain import Candidate


@dataclass(frozen=True)
class Known:
    """One candidate here, as people see it."""

    quality: float
    low: float
    high: float
    n_ratings: float
    latency_ms: float | None


@dataclass(frozen=True)
class Facts:
    """Candidates in one context; arrays have shape (n_candidates,).

    Attributes
    ----------
    arms : ndarray of int
        Positions on the snapshot's model axis.
    incumbent : int
        Position among the candidates.
    belief : Belief
        Of this context alone.
    theta : ndarray, shape (n_candidates, 1, n_scenarios)
        Scenarios of it.
    input_ratio, output_tokens : ndarray
        Tokens counted for each that the request is said to have, and tokens of an answer.
    cached_share, failure_rate : ndarray
    paid_usd : ndarray
        Mean of what calls cost, for models without a price; NaN for those that were never paid.
    known : tuple of Known
    n_ratings : float
        Faded ratings of the whole use case.
    """

    candidates: tuple[Candidate, ...]
    arms: IntArray
    incumbent: int
    belief: Belief
    theta: FloatArray
    input_ratio: FloatArray
    output_tokens: FloatArray
    cached_share: FloatArray
    failure_rate: FloatArray
    paid_usd: FloatArray
    known: tuple[Known, ...]
    n_ratings: float

    def costs(self, context_tokens: FloatArray, output_tokens: float | None = None) -> FloatArray:
        """Return expected dollars of a call, shape (n_lengths, n_candidates); NaN is unknown.

        Failures cost what the incumbent, who would serve then, costs.

        Parameters
        ----------
        context_tokens : ndarray, shape (n_lengths,)
        output_tokens : float, optional
            Completion tokens to expect, where the caller knows better than the past.
        """
        prices = np.array([_usd_per_token(c, tokens) for tokens in context_tokens.tolist() for c in self.candidates])
        uncached, cached, output = prices.reshape(len(context_tokens), len(self.candidates), 3).transpose(2, 0, 1)
        per_input = uncached + self.cached_share * (cached - uncached)
        answers = self.output_tokens if output_tokens is None else output_tokens
        cost = context_tokens[:, None] * self.input_ratio * per_input + answers * output
        unpriced = np.isnan(cost)
        if unpriced.any():
            cost = np.where(unpriced, self.paid_usd, cost)
        fallback = cost[:, self.incumbent]
        return np.asarray(cost + self.failure_rate * np.where(np.isnan(fallback), 0.0, fallback)[:, None])


def _usd_per_token(candidate: Candidate, tokens: float) -> tuple[float, float, float]:
    uncached, cached, output = candidate.price.per_token(tokens)
    return (
        np.nan if uncached is None else uncached,
        np.nan if cached is None else cached,
        np.nan if output is None else output,
    )
