"""What an estimator answers: a value with its limits, or why there is none; and what its weights were like."""

import math
from dataclasses import dataclass

import numpy as np

from optimizer.decision.belief import FloatArray

MIN_ESS = 100.0  # effective calls below which an estimate is refused
_EDGES = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, math.inf)


@dataclass(frozen=True, slots=True)
class WeightHistogram:
    """How many calls have weights in [edges[i], edges[i + 1]), and in exactly 0 apart, which the log says nothing with.

    Attributes
    ----------
    edges : tuple of float
        The last one is infinite.
    counts : tuple of int
        Weights above 0 only.
    n_zero : int
    largest : float
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    n_zero: int
    largest: float

    @classmethod
    def of(cls, weights: FloatArray) -> "WeightHistogram":
        """Return the histogram of importance weights, each >= 0."""
        positive = weights[weights > 0.0]
        place = np.searchsorted(_EDGES, positive, side="right") - 1
        counts = np.bincount(place, minlength=len(_EDGES) - 1)
        largest = float(positive.max(initial=0.0))
        return cls(_EDGES, tuple(int(n) for n in counts), int(weights.size - positive.size), largest)


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much a log can say of a target policy.

    Attributes
    ----------
    n_calls, n_units, n_rated : int
        Calls, independent units among them (sessions, and calls without one), and calls with a known reward.
    ess : float
        Effective sample size (Σw)²/Σw² over units: as many calls of the target itself would tell as much.
    off_support : float or None
        Share of the target's choices that the log can say nothing of; None where the distributions are not known.
    weights : WeightHistogram
        Of the calls' importance weights.
    """

    n_calls: int
    n_units: int
    n_rated: int
    ess: float
    off_support: float | None
    weights: WeightHistogram

    def refusal(self, min_ess: float = MIN_ESS) -> str | None:
        """Return why nothing should be estimated from this, in words; None where there is enough."""
        if self.ess >= min_ess:
            return None
        off = "" if not self.off_support else f", and {self.off_support:.0%} of its choices never could be drawn"
        return (
            f"the log is worth {self.ess:.0f} calls of this policy ({self.n_rated} of {self.n_calls} tell{off}); "
            f"{min_ess:.0f} are needed: log more calls, explore more, or judge a policy that is closer to what served"
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean reward of a target policy, with its confidence limits; all three None where it is refused.

    Attributes
    ----------
    method : str
        In words, with what the limits rest on.
    error : float or None
        Standard error, where the limits come from one.
    refused : str or None
        Why there is no estimate.
    """

    method: str
    value: float | None
    low: float | None
    high: float | None
    error: float | None
    overlap: Overlap
    refused: str | None = None

    @property
    def n(self) -> int:
        """Calls that were looked at."""
        return self.overlap.n_calls

    @property
    def ess(self) -> float:
        """Effective sample size."""
        return self.overlap.ess

    @property
    def off_support(self) -> float | None:
        """Share of the target's choices that the log can say nothing of."""
        return self.overlap.off_support

    @classmethod
    def refusal(cls, method: str, overlap: Overlap, reason: str) -> "Estimate":
        """Return no estimate, and why."""
        return cls(method, None, None, None, None, overlap, reason)


def effective(weights: FloatArray) -> float:
    """Return (Σw)²/Σw², 0 where all weights are 0."""
    square = float((weights**2).sum())
    return float(weights.sum()) ** 2 / square if square > 0.0 else 0.0
