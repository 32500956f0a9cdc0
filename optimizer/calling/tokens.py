"""Estimates how many tokens a request is before anybody has counted them, learning per model from what was charged."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve
from scipy.optimize import nnls

from optimizer.calling.token_features import FEATURES, FloatArray, features

# Tokens per count, and how far models differ in it, relative to it. Fitted to GPT-4o's, GPT-4's, Claude's (2) and
# DeepSeek's tokenizers together (`python -m benchmarks token_estimates --fit`); the last three are the gateways' rules.
_START = {
    "words": (0.96, 0.15),
    "long": (0.38, 0.15),
    "capitals": (0.19, 0.3),
    "digits": (0.31, 0.3),
    "numbers": (0.82, 0.3),
    "signs": (0.19, 0.3),
    "sign_runs": (0.34, 0.4),
    "lines": (1.55, 0.2),
    "indents": (0.64, 0.4),
    "latin": (1.78, 0.35),
    "two_bytes": (0.40, 0.7),
    "three_bytes": (0.70, 1.0),
    "cjk": (0.76, 0.4),
    "hangul": (0.66, 0.6),
    "symbols": (0.93, 0.3),
    "emoji": (2.5, 0.5),
    "turns": (3.5, 0.8),
    "has_tools": (12.0, 10.0),
    "media": (1.0, 0.5),
}
START, _SPREAD = np.array([_START[name] for name in FEATURES]).T
_COMMON = 0.1  # and how far they differ in all of them at once

_NOISE = 0.08  # what no count explains, relative to the tokens and `OFFSET`
OFFSET = 16.0  # tokens: below, whole numbers and the odd word matter more than shares
SURE_AFTER = 30  # requests; from then on the margin is what estimates were off by, before it is
UNKNOWN_SHARE = 0.30
_EDGES = np.append(np.linspace(-0.5, 2.0, 251), np.inf)  # of shares by which requests were longer than estimated
MOST_MODELS = 500
# To weigh everything anew takes as long as the rest of a call: of many requests, a few more can wait for company.
_WAITING_SHARE, _MOST_WAITING = 1 / 32, 64
_ABSURD = 50.0  # times the start's estimate: not a count of this request
_Z95 = 1.645

_COVARIANCE = np.diag((_SPREAD * START) ** 2) + _COMMON**2 * np.outer(START, START)
_PRECISION = np.linalg.inv(_COVARIANCE)


class Estimate(NamedTuple):
    """Tokens as expected, and as they are at most in 95 of 100 cases: where a window or a limit is at stake."""

    mean: int
    high: int


@dataclass(frozen=True)
class Learned:
    """What requests with known tokens say about a model, as sums: adding those of two processes is learning from both.

    Rows are divided by tokens + `OFFSET`, so that relative errors count.

    Attributes
    ----------
    n : int
    gram : ndarray, shape (n_features, n_features)
        Σ x xᵀ of the rows.
    cross : ndarray, shape (n_features,)
        Σ x y of the rows.
    misses : ndarray, shape (n_bins,)
        How often requests were longer than estimated just before, by bins of (tokens - mean) / (mean + `OFFSET`).
    """

    n: int = 0
    gram: FloatArray = field(default_factory=lambda: np.zeros((len(FEATURES), len(FEATURES))))
    cross: FloatArray = field(default_factory=lambda: np.zeros(len(FEATURES)))
    misses: FloatArray = field(default_factory=lambda: np.zeros(len(_EDGES)))

    def __add__(self, other: "Learned") -> "Learned":
        return Learned(self.n + other.n, self.gram + other.gram, self.cross + other.cross, self.misses + other.misses)

    def after(self, *requests: tuple[FloatArray, int]) -> "Learned":
        """Return what is known after some requests more, each with its counts and its true tokens."""
        counts, tokens = np.array([row for row, _ in requests]), np.array([n for _, n in requests], dtype=np.float64)
        rows, shares = counts / (tokens + OFFSET)[:, None], tokens / (tokens + OFFSET)
        means = counts @ self._fit[0]
        missed = np.searchsorted(_EDGES, (tokens - means) / (means + OFFSET))
        misses = np.bincount(missed, minlength=len(_EDGES)).astype(np.float64)
        return self + Learned(len(requests), rows.T @ rows, rows.T @ shares, misses)

    def estimate(self, counts: FloatArray) -> Estimate:
        """Return the tokens of a request or text with these counts."""
        weights, covariance = self._fit
        mean = float(weights @ counts)
        unsure = max(float(counts @ covariance @ counts), 0.0)
        high = mean + math.hypot(self._missed_by * (mean + OFFSET), _Z95 * math.sqrt(unsure))
        return Estimate(max(1, round(mean)), max(1, math.ceil(high)))

    @cached_property
    def _fit(self) -> tuple[FloatArray, FloatArray]:
        """Tokens per count and their covariance, from the rows and the start, as Bayes weighs."""
        factor = np.linalg.cholesky(self.gram / _NOISE**2 + _PRECISION)
        wanted = self.cross / _NOISE**2 + _PRECISION @ START
        weights = cho_solve((factor, True), wanted, check_finite=False)
        if weights.min() < 0:  # more text is never fewer tokens
            weights = nnls(factor.T, np.linalg.solve(factor, wanted))[0]
        return weights, cho_solve((factor, True), np.eye(len(factor)), check_finite=False)

    @cached_property
    def _missed_by(self) -> float:
        """The share that 95 of 100 requests stay below, the next one included (split conformal prediction)."""
        if self.n < SURE_AFTER:
            return UNKNOWN_SHARE
        rank = min(self.n, math.ceil((self.n + 1) * 0.95))
        edge = float(_EDGES[np.searchsorted(np.cumsum(self.misses), rank)])
        return max(0.0, min(edge, float(_EDGES[-2])))


class TokenEstimator:
    """Estimates tokens per model, and learns; may be shared between threads.

    Memory is bounded: 8 kB for each of the 500 models that were learned about last.
    """

    def __init__(self, learned: Mapping[str, Learned] | None = None) -> None:
        self._learned = dict(learned or {})
        self._waiting: dict[str, list[tuple[FloatArray, int]]] = {}
        self._lock = Lock()

    def estimate(self, model_id: str | None, counts: FloatArray) -> Estimate:
        """Return the tokens of a request with these counts; without a model, of one by an unknown model."""
        return self.learned(model_id).estimate(counts)

    def learn(self, model_id: str, counts: FloatArray, input_tokens: int) -> None:
        """Note what a request with these counts really was; numbers that cannot be a count of it are passed over."""
        started = float(START @ counts) + OFFSET
        if input_tokens >= 1 and 1 / _ABSURD < (input_tokens + OFFSET) / started < _ABSURD:
            with self._lock:
                waiting, known = self._waiting.setdefault(model_id, []), self.learned(model_id)
                waiting.append((counts, input_tokens))
                if len(waiting) > min(known.n * _WAITING_SHARE, _MOST_WAITING - 1):
                    del self._waiting[model_id]
                    self._keep(model_id, known.after(*waiting))

    def add(self, model_id: str, more: Learned) -> None:
        """Note what another process has learned."""
        with self._lock:
            self._keep(model_id, self.learned(model_id) + more)

    def learned(self, model_id: str | None) -> Learned:
        """Return what is known of a model."""
        return self._learned.get(model_id or "", _NOTHING)

    def _keep(self, model_id: str, learned: Learned) -> None:
        self._learned.pop(model_id, None)
        self._learned[model_id] = learned
        if len(self._learned) > MOST_MODELS:
            oldest = next(iter(self._learned))
            del self._learned[oldest]
            self._waiting.pop(oldest, None)


_NOTHING = Learned()


def estimate_output(text: str) -> int:
    """Return about how many tokens a text is that nobody counted, such as the received part of an aborted stream."""
    return max(1, round(float(START @ features(text)))) if text else 0
