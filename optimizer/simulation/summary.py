"""From replayed calls to means: of one seed, then over seeds with 95% intervals, as plain JSON types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from optimizer.decision.belief import FloatArray
from optimizer.decision.drift import Alarm
from optimizer.domain import Objective
from optimizer.simulation.replay import Played
from optimizer.simulation.stream import Stream


@dataclass(frozen=True)
class Means:
    """Calls, and the means over them."""

    n: int
    quality: float
    cost_usd: float


@dataclass(frozen=True)
class SeedResult:
    """What one seed came to.

    Attributes
    ----------
    means : Means
        Over the calls that count.
    deviation : tuple of float
        Standard deviations of quality and cost from call to call.
    share : ndarray, shape (n_arms,)
        Of the calls that count.
    per_table, per_use_case : mapping of str to Means
        Every table; use cases of the calls that count.
    decision_s : ndarray
        Seconds of every decision.
    alarms : tuple of (int, Alarm)
        In the order in which they were raised, each with the call before which it was.
    """

    means: Means
    deviation: tuple[float, float]
    share: FloatArray
    per_table: Mapping[str, Means]
    per_use_case: Mapping[str, Means]
    decision_s: FloatArray
    alarms: tuple[tuple[int, Alarm], ...] = ()


def summarised(stream: Stream, played: Played, *, score_last: bool) -> SeedResult:
    """Return the means of one replay; with `score_last` only the last table counts, but in `per_table`."""
    quality = (played.shares * stream.quality[played.prompts]).sum(axis=1)
    cost = (played.shares * stream.cost_usd[played.prompts]).sum(axis=1)
    table, use_case = stream.table[played.prompts], stream.use_case[played.prompts]
    counts = table == len(stream.tables) - 1 if score_last else np.ones(len(table), dtype=np.bool_)
    deviation = float(quality[counts].std(ddof=1)), float(cost[counts].std(ddof=1))
    return SeedResult(
        _means(quality, cost, counts),
        deviation if counts.sum() > 1 else (0.0, 0.0),
        played.shares[counts].mean(axis=0),
        {f"{i}:{name}": _means(quality, cost, table == i) for i, name in enumerate(stream.tables)},
        {
            stream.use_cases[i]: _means(quality, cost, counts & (use_case == i))
            for i in np.unique(use_case[counts]).tolist()
        },
        played.decision_s,
        played.alarms,
    )


def over_seeds(stream: Stream, policy: str, objective: Objective, results: Sequence[SeedResult]) -> dict[str, Any]:
    """Return one policy's line of the report; every seed weighs the same.

    The 95% intervals are Student's over the seeds; of a single seed, over its calls.
    """
    quality = np.array([result.means.quality for result in results])
    cost = np.array([result.means.cost_usd for result in results])
    mean_cost = float(cost.mean())
    share = np.mean([result.share for result in results], axis=0)
    timed = np.concatenate([result.decision_s for result in results]) * 1e6
    return {
        "policy": policy,
        "objective": str(objective),
        "seeds": len(results),
        "n": results[0].means.n,
        "mean_quality": float(quality.mean()),
        "mean_cost_usd": mean_cost,
        "ci95_quality": _interval(quality, results, 0),
        "ci95_cost_usd": _interval(cost, results, 1),
        "budget_utilisation": mean_cost / objective.amount if objective.kind == "budget" and objective.amount else None,
        "share": {model: float(value) for model, value in zip(stream.models, share, strict=True)},
        "per_table": [
            {"table": name, **_pooled([result.per_table[f"{i}:{name}"] for result in results])}
            for i, name in enumerate(stream.tables)
        ],
        "per_use_case": {
            name: _pooled([result.per_use_case[name] for result in results if name in result.per_use_case])
            for name in sorted({name for result in results for name in result.per_use_case})
        },
        "alarms": [
            {"model": alarm.model_id, "at_call": call, "direction": alarm.direction}
            for result in results
            for call, alarm in result.alarms
        ],
        "decision_us_p50": float(np.percentile(timed, 50)) if timed.size else None,
        "decision_us_p99": float(np.percentile(timed, 99)) if timed.size else None,
    }


def _means(quality: FloatArray, cost: FloatArray, counts: np.ndarray) -> Means:
    return Means(int(counts.sum()), float(quality[counts].mean()), float(cost[counts].mean()))


def _pooled(means: Sequence[Means]) -> dict[str, float]:
    """Return the mean over seeds; `n` is per seed, rounded where a limit lets it differ."""
    n = np.array([of_seed.n for of_seed in means], dtype=np.float64)
    return {
        "n": round(float(n.mean())),
        "mean_quality": float(n @ [of_seed.quality for of_seed in means] / n.sum()),
        "mean_cost_usd": float(n @ [of_seed.cost_usd for of_seed in means] / n.sum()),
    }


def _interval(by_seed: FloatArray, results: Sequence[SeedResult], which: int) -> list[float]:
    n = len(by_seed) if len(by_seed) > 1 else results[0].means.n
    spread = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else results[0].deviation[which]
    reach = float(student_t.ppf(0.975, n - 1)) * spread / float(np.sqrt(n)) if n > 1 else 0.0
    middle = float(by_seed.mean())
    return [middle - reach, middle + reach]
