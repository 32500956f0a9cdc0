"""Evidence as whole numbers that add, fade and merge: what one cell's sums are called, and how they fade on reading."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

QUALITY_UNIT = 10_000  # quality and shares are kept in 10⁻⁴
FINE_S, HOUR_S, DAY_S = 900, 3_600, 86_400  # widths of a bucket, young to old

CALLS = "calls:"  # + number of the length bin; n: calls served, total, square: context tokens said before the choice
FAILURE = "failure"  # n: attempts, total: those that failed
INPUT_TOKENS = "input_tokens"  # n, total, square: tokens
CACHED_TOKENS = "cached_tokens"
OUTPUT_TOKENS = "output_tokens"
COST = "cost_nano_usd"  # n: calls of known cost, total: nano-dollars; money keeps no square
QUALITY = "quality:"  # + metric; n: rated calls, total in 10⁻⁴, square in 10⁻⁸
LATENCY = "latency:"  # + number of the log-spaced bin; n: calls in it
TTFT = "ttft:"


class EvidenceKey(NamedTuple):
    """One row of evidence: a cell, a measure and a time bucket (seconds since the epoch, and its width)."""

    use_case: str
    segment: str
    model_id: str
    measure: str
    bucket_start_s: int
    bucket_width_s: int


class Sums(NamedTuple):
    """Count, sum and sum of squares, all whole."""

    n: int = 0
    total: int = 0
    square: int = 0

    def __add__(self, other: "Sums") -> "Sums":  # type: ignore[override]
        """Return the sums of both."""
        return Sums(self.n + other.n, self.total + other.total, self.square + other.square)

    def __neg__(self) -> "Sums":
        """Return what takes these sums away again."""
        return Sums(-self.n, -self.total, -self.square)


def added(parts: Iterable[Mapping[EvidenceKey, Sums]]) -> dict[EvidenceKey, Sums]:
    """Return the sums over `parts`, key by key, without rows that came to nothing."""
    sums: dict[EvidenceKey, Sums] = {}
    for part in parts:
        for key, value in part.items():
            sums[key] = sums.get(key, Sums()) + value
    return {key: value for key, value in sums.items() if value != Sums()}


def length_bin(context_tokens: int) -> int:
    """Return the half-octave bin of a request's length: 2·log₂(tokens + 1), rounded."""
    return round(2.0 * math.log2(context_tokens + 1))


def bin_tokens(number: int) -> float:
    """Return the length that stands for a bin: its geometric centre, in tokens."""
    return float(2.0 ** (number / 2) - 1.0)
