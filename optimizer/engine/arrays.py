"""Evidence rows as arrays over contexts and models, faded to a moment."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from optimizer.decision.belief import FloatArray, IntArray, RatingSums
from optimizer.decision.cost import UsageSums
from optimizer.decision.credit import bin_upper_ms
from optimizer.decision.drift import Alarm, changed_since, weight_before
from optimizer.decision.evidence import (
    CACHED_TOKENS,
    CALLS,
    COST,
    DAY_S,
    FAILURE,
    INPUT_TOKENS,
    LATENCY,
    OUTPUT_TOKENS,
    QUALITY,
    QUALITY_UNIT,
    EvidenceKey,
    Sums,
)
from optimizer.domain import NANO_USD
from optimizer.routes import Route

Context = tuple[str, str]  # use case, segment


@dataclass(frozen=True)
class Axes:
    """Names of the context axis, (use case, segment), and of the model axis, with their positions."""

    contexts: tuple[Context, ...]
    models: tuple[str, ...]
    use_cases: tuple[str, ...]
    use_case_of: IntArray = field(repr=False)

    @classmethod
    def over(cls, routes: Iterable[Route], rows: Iterable[EvidenceKey], segments: Iterable[Context]) -> "Axes":
        """Return the axes of every routed use case, its segments seen so far, and every model ever a candidate."""
        by_name = {route.name: route for route in routes}
        seen = {(key.use_case, key.segment) for key in rows if key.use_case in by_name}
        contexts = tuple(sorted(seen | set(segments) | {(name, "") for name in by_name}))
        models = {candidate.model_id for route in by_name.values() for candidate in route.candidates}
        models |= {route.incumbent for route in by_name.values()}
        models |= {key.model_id for key in rows if key.use_case in by_name}
        names = tuple(sorted(by_name))
        position = {name: i for i, name in enumerate(names)}
        return cls(contexts, tuple(sorted(models)), names, np.array([position[name] for name, _ in contexts]))

    def zeros(self) -> FloatArray:
        """Return zeros of shape (n_contexts, n_models)."""
        return np.zeros((len(self.contexts), len(self.models)))


@dataclass(frozen=True)
class Arrays:
    """What the evidence says at a moment; arrays of shape (n_contexts, n_models).

    Attributes
    ----------
    ratings : RatingSums
        Faded ratings of each use case's quality.
    recent : RatingSums
        The same, of calls of the last 24 hours only, not faded: what an average has to make up for.
    usage : UsageSums
        Faded tokens and money.
    cached_share : ndarray
        Share of input tokens that came from a cache, shrunk to none.
    failure_rate : ndarray
        Share of attempts that failed, shrunk to one in a hundred.
    spent : mapping of (context position, bucket start) to (float, float)
        Calls of known cost in each bucket of the last 24 hours, and their cost in dollars.
    traffic : mapping of (context position, length bin) to float
        Faded calls.
    latencies : mapping of (context position, model position) to mapping of bin to float
        Faded calls in each bin of latency.
    """

    axes: Axes
    ratings: RatingSums
    recent: RatingSums
    usage: UsageSums
    cached_share: FloatArray
    failure_rate: FloatArray
    spent: Mapping[tuple[int, int], tuple[float, float]]
    traffic: Mapping[tuple[int, int], float]
    latencies: Mapping[tuple[int, int], Mapping[int, float]]


_SHRINKAGE_CALLS = 20.0
_USUAL_FAILURES = 0.01
_RECENT_S = DAY_S


def gather(
    axes: Axes,
    routes: Mapping[str, Route],
    rows: Mapping[EvidenceKey, Sums],
    now_s: float,
    *,
    alarms: Collection[Alarm] = (),
) -> Arrays:
    """Return the evidence as arrays, each bucket faded by 2^(−age/half-life) of its use case.

    Ratings, and counts of failures, from before the latest alarm on a model weigh less than those after it.
    """
    rated_since, failing_since = (changed_since(alarms, subject) for subject in ("quality", "failure"))
    context_at = {context: i for i, context in enumerate(axes.contexts)}
    model_at = {model: i for i, model in enumerate(axes.models)}
    half_life_s = {name: route.settings.half_life.total_seconds() for name, route in routes.items()}
    quality = {name: QUALITY + route.settings.metrics.quality for name, route in routes.items()}
    sums: dict[str, tuple[FloatArray, FloatArray]] = defaultdict(lambda: (axes.zeros(), axes.zeros()))
    rated, outdated, recent = (RatingSums.empty(axes.use_case_of, len(axes.models)) for _ in range(3))
    spent: dict[tuple[int, int], tuple[float, float]] = {}
    traffic: dict[tuple[int, int], float] = defaultdict(float)
    latencies: dict[tuple[int, int], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for key, (n, total, square) in rows.items():
        context = context_at.get((key.use_case, key.segment))
        if context is None:
            continue
        cell = context, model_at[key.model_id]
        age = max(now_s - key.bucket_start_s - key.bucket_width_s / 2, 0.0)
        weight = 2.0 ** (-age / half_life_s[key.use_case])
        measure = key.measure
        if measure == quality[key.use_case]:
            old = key.bucket_start_s < rated_since.get(key.model_id, 0)
            _rate(outdated if old else rated, cell, weight, n, total, square)
            _rate(recent, cell, 1.0 if age <= _RECENT_S else 0.0, n, total, square)
        elif measure.startswith(CALLS):
            traffic[context, int(measure[len(CALLS) :])] += weight * n
            _add(sums[CALLS], cell, weight, n, total)
        elif measure.startswith(LATENCY):
            latencies[cell][int(measure[len(LATENCY) :])] += weight * n
        elif measure == COST:
            _add(sums[COST], cell, weight, n, total / NANO_USD)
            if age <= _RECENT_S:
                calls, usd = spent.get((context, key.bucket_start_s), (0.0, 0.0))
                spent[context, key.bucket_start_s] = calls + n, usd + total / NANO_USD
        elif measure == FAILURE:
            old = key.bucket_start_s < failing_since.get(key.model_id, 0)
            _add(sums[_OUTDATED if old else FAILURE], cell, weight, n, total)
        elif measure in _PLAIN:
            _add(sums[measure], cell, weight, n, total)
    n_input, input_tokens = sums[INPUT_TOKENS]
    n_attempts, n_failed = _joined(sums[FAILURE], sums[_OUTDATED])
    shrinkage_tokens = _SHRINKAGE_CALLS * input_tokens.sum() / max(n_input.sum(), 1.0)
    return Arrays(
        axes,
        _joined_ratings(rated, outdated),
        recent,
        UsageSums(
            n_input,
            _of_known_usage(sums[CALLS], n_input),
            input_tokens,
            sums[OUTPUT_TOKENS][1],
            *sums[COST],
        ),
        sums[CACHED_TOKENS][1] / np.maximum(input_tokens + shrinkage_tokens, 1.0),
        (n_failed + _SHRINKAGE_CALLS * _USUAL_FAILURES) / (n_attempts + _SHRINKAGE_CALLS),
        spent,
        traffic,
        latencies,
    )


_PLAIN = {INPUT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS}
_OUTDATED = "failure before an alarm"


def _joined_ratings(sums: RatingSums, outdated: RatingSums) -> RatingSums:
    n, total, square = _joined(*((each.n, each.total, each.square) for each in (sums, outdated)))
    return RatingSums(n, total, square, sums.use_case)


def _joined(sums: Sequence[FloatArray], outdated: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
    """Return the sums, counts first, with those from before each model's alarm at what they weigh."""
    weight = weight_before(outdated[0].sum(axis=0))
    return tuple(new + weight * old for new, old in zip(sums, outdated, strict=True))


def _rate(ratings: RatingSums, cell: tuple[int, int], weight: float, n: int, total: int, square: int) -> None:
    ratings.n[cell] += weight * n
    ratings.total[cell] += weight * total / QUALITY_UNIT
    ratings.square[cell] += weight * square / QUALITY_UNIT**2


def _add(pair: tuple[FloatArray, FloatArray], cell: tuple[int, int], weight: float, n: float, total: float) -> None:
    pair[0][cell] += weight * n
    pair[1][cell] += weight * total


def _of_known_usage(calls: tuple[FloatArray, FloatArray], n_known: FloatArray) -> FloatArray:
    """Return the context tokens of the calls of known usage, as if the others were as long on average."""
    n, context_tokens = calls
    return np.asarray(context_tokens * np.divide(n_known, n, out=np.zeros_like(n), where=n > 0))


def share_within(bins: Mapping[int, float], target_ms: float) -> tuple[float, float]:
    """Return (calls timed, share of them that met a target); a bin counts if its upper edge meets it."""
    total = sum(bins.values())
    met = sum(n for number, n in bins.items() if bin_upper_ms(number) <= target_ms * 1.1)
    return total, met / total if total else 1.0
