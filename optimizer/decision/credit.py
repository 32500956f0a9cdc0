"""What one call teaches: from its attempts and ratings to the sums that are added to evidence.

The same function serves learning, taking a changed rating back, verification and rebuilding, so they agree to the
last unit. Everything is credited to the 15 minutes in which the call was decided, however late the facts arrive.
"""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from optimizer.decision.evidence import (
    CACHED_TOKENS,
    CALLS,
    COST,
    FAILURE,
    FINE_S,
    INPUT_TOKENS,
    LATENCY,
    OUTPUT_TOKENS,
    QUALITY,
    QUALITY_UNIT,
    TTFT,
    EvidenceKey,
    Sums,
    length_bin,
)
from optimizer.domain import Attempt, Feedback, RewardRule
from optimizer.errors import InvalidRequest

CANCELLED = "cancelled"  # error kind of an attempt that its caller gave up
JUDGE = "judge:"  # how the name of a rater begins that is no person
BINS_PER_OCTAVE = 8

# 2^(k/8) for k = 0..7 by square roots and products alone, which every machine rounds alike.
_EIGHTH = math.sqrt(math.sqrt(math.sqrt(2.0)))
_ROOTS = (1.0, _EIGHTH, math.sqrt(math.sqrt(2.0)), _EIGHTH * math.sqrt(math.sqrt(2.0)))
_EDGES = _ROOTS + tuple(root * math.sqrt(2.0) for root in _ROOTS)


_Measured = tuple[str, int, int]  # measure, total, square; each counts one


class CreditedCall(NamedTuple):
    """Where a call's evidence goes: its cell, when it was decided (seconds since the epoch), and how long it was."""

    use_case: str
    segment: str
    decided_at_s: int
    context_tokens: int = 0


def contributions(
    call: CreditedCall, attempts: Collection[Attempt], ratings: Iterable[Feedback], rule: RewardRule
) -> dict[EvidenceKey, Sums]:
    """Return what one call adds to evidence.

    Every attempt counts for its model's failures (it failed if it has an `error_kind`; one that was `cancelled` says
    nothing), so a drawn model that a failover replaced gets its failure. All else is credited to the model that
    served, of what is known: a call, tokens, cost, latency, TTFT and ratings. Where no attempt served, ratings wait:
    they count once one does. A reply that is another call's (`reused`) counts as no attempt at all, so it teaches
    nothing, and neither do its ratings.

    Parameters
    ----------
    attempts : collection of Attempt
        Of this call, in any order; the served one of the lowest number is the one credited.
    ratings : iterable of Feedback
        Of this call, at most one per metric and rater, in any order; withdrawn ones (None) are left out.
    rule : RewardRule
        Which metric is the quality. If any gate is rated below one half, the quality is 0, also where nobody rated
        it: the reply is known to be useless. A gate that nobody rated is no failure.

    Returns
    -------
    dict
        Fine buckets only (15 minutes); the ledger moves them where older ones are kept.
    """
    tally = Tally()
    tally.add(call, attempts, ratings, rule)
    return tally.sums()


class Tally:
    """Running sums of what many calls contribute; a call is added, or taken away again."""

    def __init__(self) -> None:
        # Cell and bucket → measure → n, total, square. Naming a key for each measure of each call would double the
        # writer's work.
        self._cells: dict[tuple[str, str, str, int], dict[str, list[int]]] = {}

    def add(
        self,
        call: CreditedCall,
        attempts: Collection[Attempt],
        ratings: Iterable[Feedback],
        rule: RewardRule,
        *,
        sign: int = 1,
    ) -> None:
        """Add what `contributions` returns for the same arguments, or take it away where `sign` is -1."""
        served: Attempt | None = None
        made = [attempt for attempt in attempts if attempt.reused is None]
        for attempt in made:
            if attempt.served and (served is None or attempt.number < served.number):
                served = attempt
        for attempt in made:
            measured: list[_Measured] = []
            if attempt.error_kind != CANCELLED:  # who asked went away: nobody knows how it would have ended
                failed = 0 if attempt.error_kind is None else 1
                measured.append((FAILURE, failed, failed))
            if attempt is served:
                _add_reply(measured, served, call.context_tokens)
                _add_ratings(measured, ratings, rule)
            self._add(call, attempt.model_id, measured, sign)

    def _add(self, call: CreditedCall, model_id: str, measured: list[_Measured], sign: int) -> None:
        use_case, segment, decided_at_s, _ = call
        key = (use_case, segment, model_id, decided_at_s - decided_at_s % FINE_S)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = {}
        for measure, total, square in measured:
            row = cell.get(measure)
            if row is None:
                cell[measure] = [sign, sign * total, sign * square]
            else:
                row[0] += sign
                row[1] += sign * total
                row[2] += sign * square

    def sums(self) -> dict[EvidenceKey, Sums]:
        """Return the sums by key, without rows that came to nothing."""
        return {
            EvidenceKey(use_case, segment, model_id, measure, start, FINE_S): Sums(*row)
            for (use_case, segment, model_id, start), cell in self._cells.items()
            for measure, row in cell.items()
            if any(row)
        }


def _add_reply(found: list[_Measured], served: Attempt, context_tokens: int) -> None:
    found.append((f"{CALLS}{length_bin(context_tokens)}", context_tokens, context_tokens * context_tokens))
    usage = served.usage
    if usage is not None:
        n_input, n_cached, n_output = usage.input_tokens, usage.cached_tokens, usage.output_tokens
        found.append((INPUT_TOKENS, n_input, n_input * n_input))
        found.append((CACHED_TOKENS, n_cached, n_cached * n_cached))
        found.append((OUTPUT_TOKENS, n_output, n_output * n_output))
    if served.cost_nano_usd is not None:
        found.append((COST, served.cost_nano_usd, 0))
    if served.latency_ms is not None:
        found.append((f"{LATENCY}{latency_bin(served.latency_ms)}", 0, 0))
    if served.ttft_ms is not None:
        found.append((f"{TTFT}{latency_bin(served.ttft_ms)}", 0, 0))


def _add_ratings(found: list[_Measured], ratings: Iterable[Feedback], rule: RewardRule) -> None:
    values = call_ratings(ratings)
    if rule.gates and any(2 * values.get(gate, QUALITY_UNIT) < QUALITY_UNIT for gate in rule.gates):
        values[rule.quality] = 0
    for metric, value in values.items():
        found.append((QUALITY + metric, value, value * value))


def call_reward(ratings: Iterable[Feedback], rule: RewardRule) -> float | None:
    """Return what a served call earned, in [0, 1], gates applied; None where nobody rated its quality."""
    found: list[_Measured] = []
    _add_ratings(found, ratings, rule)
    units = next((total for measure, total, _ in found if measure == QUALITY + rule.quality), None)
    return None if units is None else units / QUALITY_UNIT


def call_ratings(ratings: Iterable[Feedback]) -> dict[str, int]:
    """Return metric → one call's rating in whole 10⁻⁴, the mean over its raters, before gates.

    Raters whose name begins with `judge:` count only where nobody else rated that metric. Each value is rounded to
    10⁻⁴ first (half to even) and so is their mean (half up), so the order of raters cannot matter.
    """
    people: dict[str, list[int]] = {}
    judges: dict[str, list[int]] = {}
    for rating in ratings:
        if rating.value is not None:
            raters = judges if rating.rater.startswith(JUDGE) else people
            raters.setdefault(rating.metric, []).append(round(rating.value * QUALITY_UNIT))
    heard = judges | people if judges else people
    return {metric: (2 * sum(units) + len(units)) // (2 * len(units)) for metric, units in heard.items()}


def latency_bin(ms: float) -> int:
    """Return the number of the bin of a duration: eight to the octave from 1 ms on; what is shorter is in bin 0.

    Bin b holds durations in [2^(b/8), 2^((b+1)/8)) ms, so a percentile read from bins is at most 9.1% too high.

    Raises
    ------
    InvalidRequest
        If `ms` is negative, infinite or NaN.
    """
    if not 0.0 <= ms < math.inf:
        raise InvalidRequest("latency_ms", f"{ms} is not a duration in milliseconds")
    if ms < 1.0:
        return 0
    half, octave = math.frexp(ms)  # ms = half · 2^octave, half in [1/2, 1)
    return BINS_PER_OCTAVE * (octave - 1) + bisect_right(_EDGES, 2.0 * half) - 1


def bin_upper_ms(number: int) -> float:
    """Return the upper edge of a bin in ms: the smallest duration that `latency_bin` puts into the next one."""
    octave, eighth = divmod(number + 1, BINS_PER_OCTAVE)
    return math.ldexp(_EDGES[eighth], octave)


def percentile_ms(counts: Mapping[int, float], share: float) -> float | None:
    """Return the upper edge of the bin in which `share` of the calls is reached; None where nothing was counted.

    Parameters
    ----------
    counts : mapping of int to float
        Bin number → calls, faded or not, ≥ 0.
    share : float
        In (0, 1]: 0.5 for the median.
    """
    needed = share * sum(counts.values())
    reached = 0.0
    for number in sorted(counts):
        reached += counts[number]
        if reached >= needed and reached > 0.0:
            return bin_upper_ms(number)
    return None
