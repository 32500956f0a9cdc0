"""Evidence of very many calls at once, in arrays: the same sums as `optimizer.decision.credit` makes of each call."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optimizer.decision.belief import BoolArray, FloatArray, IntArray
from optimizer.decision.credit import bin_upper_ms
from optimizer.decision.evidence import (
    CACHED_TOKENS,
    CALLS,
    COST,
    DAY_S,
    FAILURE,
    FINE_S,
    HOUR_S,
    INPUT_TOKENS,
    LATENCY,
    OUTPUT_TOKENS,
    QUALITY,
    QUALITY_UNIT,
    TTFT,
)
from optimizer.ledger.evidence import EvidenceState

_N_BINS = 256
_PLAIN = (FAILURE, INPUT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS, COST, f"{QUALITY}quality", f"{QUALITY}valid_json")
_BINNED = (CALLS, LATENCY, TTFT)
_N_MEASURES = len(_PLAIN) + len(_BINNED) * _N_BINS
_EDGES_MS = np.array([bin_upper_ms(number) for number in range(_N_BINS)])


@dataclass(frozen=True)
class Replies:
    """What one use case's calls came to, replies of other calls left out; NaN is unknown, models are positions."""

    failed: BoolArray
    failed_model: IntArray
    answered: BoolArray
    model: IntArray
    input_tokens: FloatArray
    cached_tokens: FloatArray
    output_tokens: FloatArray
    nano_usd: FloatArray
    latency_ms: FloatArray
    ttft_ms: FloatArray


@dataclass(frozen=True)
class Scores:
    """How calls were rated: by users (some withdrew it), a judge, and a check of the reply's form."""

    by_user: BoolArray
    withdrawn: BoolArray
    user: FloatArray
    by_judge: BoolArray
    judge: FloatArray
    by_check: BoolArray
    valid: BoolArray
    lag_us: IntArray


class TallyInBulk:
    """Sums by use case, model, measure and bucket."""

    def __init__(self, use_cases: tuple[str, ...], models: tuple[str, ...]) -> None:
        self._use_cases, self._models = use_cases, models
        self._parts: list[tuple[IntArray, ...]] = []  # keys in order, n, total, square

    def add(self, u: int, at_s: IntArray, context_tokens: IntArray, replies: Replies, scores: Scores) -> None:
        """Add the calls of one use case."""
        found: list[tuple[IntArray, ...]] = []

        def count(code: IntArray | int, mine: BoolArray, model: IntArray, value: FloatArray, square: int = 1) -> None:
            bucket = at_s[mine] // FINE_S
            cell = (bucket * len(self._use_cases) + u) * len(self._models) + model[mine]
            measure = code[mine] if isinstance(code, np.ndarray) else code
            whole = value[mine].astype(np.int64)
            found.append((cell * _N_MEASURES + measure, whole, square * whole**2))

        nothing, known = np.zeros(len(at_s)), replies.answered
        count(0, replies.failed, replies.failed_model, nothing + 1.0)
        count(0, known, replies.model, nothing)
        told = known & ~np.isnan(replies.input_tokens)
        for code, tokens in enumerate((replies.input_tokens, replies.cached_tokens, replies.output_tokens), 1):
            count(code, told, replies.model, tokens)
        count(4, known & ~np.isnan(replies.nano_usd), replies.model, replies.nano_usd, 0)
        rating = np.where(scores.by_user & ~scores.withdrawn, scores.user, scores.judge)
        rated = known & ((scores.by_user & ~scores.withdrawn) | scores.by_judge)
        count(5, rated, replies.model, np.rint(rating * QUALITY_UNIT))
        count(6, known & scores.by_check, replies.model, scores.valid * float(QUALITY_UNIT))
        lengths = np.rint(2.0 * np.log2(context_tokens + 1.0)).astype(np.int64)
        count(_code(CALLS, lengths), known, replies.model, context_tokens.astype(float))
        for name, ms in ((LATENCY, replies.latency_ms), (TTFT, replies.ttft_ms)):
            count(_code(name, np.searchsorted(_EDGES_MS, ms, side="right")), known, replies.model, nothing)
        keys, totals, squares = (np.concatenate(column) for column in zip(*found, strict=True))
        self._parts.append(_summed(keys, np.ones_like(keys), totals, squares))

    def rows(self, state: EvidenceState, changed_at_us: int) -> Iterator[tuple[str | int, ...]]:
        """Yield the rows of `evidence`, in buckets as wide as the state says, in no order."""
        keys, *sums = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        cell, code = np.divmod(keys, _N_MEASURES)
        bucket, cell = np.divmod(cell, len(self._use_cases) * len(self._models))
        start = bucket * FINE_S
        width = np.where(start < state.days_before_s, DAY_S, np.where(start < state.hours_before_s, HOUR_S, FINE_S))
        placed = ((start - start % width) // FINE_S * 3 + np.searchsorted((HOUR_S, DAY_S), width, side="right")) * (
            len(self._use_cases) * len(self._models)
        )
        keys, *sums = _summed((placed + cell) * _N_MEASURES + code, *sums)
        names = [*_PLAIN, *(f"{name}{number}" for name in _BINNED for number in range(_N_BINS))]
        widths = (FINE_S, HOUR_S, DAY_S)
        for key, n, total, square in zip(keys.tolist(), *(column.tolist() for column in sums), strict=True):
            cell, code = divmod(key, _N_MEASURES)
            cell, model = divmod(cell, len(self._models))
            bucket, u = divmod(cell, len(self._use_cases))
            bucket, width = divmod(bucket, 3)
            yield (
                self._use_cases[u], "", self._models[model], names[code], bucket * FINE_S, widths[width], n, total,
                square, changed_at_us,
            )  # fmt: skip


def _code(name: str, number: IntArray) -> IntArray:
    return np.asarray(len(_PLAIN) + _BINNED.index(name) * _N_BINS + number)


def _summed(keys: IntArray, *values: IntArray) -> tuple[IntArray, ...]:
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    begins = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[begins], *(np.add.reduceat(each[order], begins) for each in values)
