"""What one simulated model would answer to every prompt of a day, as arrays: made once, then only looked up.

Each model has its own stream of random numbers, read prompt by prompt, so an answer depends on the seed, the prompt and
the model alone: any two policies can be compared on the same day, whatever either of them asked before.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from optimizer.decision.belief import FloatArray, IntArray
from optimizer.domain import Family
from optimizer.routes import Route
from optimizer.simulation.raters import N_CHANCES, N_NOISES, PANELS, STEP, graded
from optimizer.simulation.traffic import PROFILES, Traffic
from optimizer.simulation.traits import Traits, generator

_STEEPNESS = 1.5  # of the curve from ability less difficulty to merit
_OWN = 0.45  # standard deviation of what one model happens to find hard or easy about one prompt
_PREFILL_TOKENS_PER_MS = 25.0


@dataclass(frozen=True)
class Prompts:
    """The day's prompts as models meet them; arrays have one entry per prompt.

    Attributes
    ----------
    use_cases : tuple of str
        Names of the values of `use_case`.
    families : tuple of Family
        The use cases' benchmark families, in the same order.
    """

    use_cases: tuple[str, ...]
    families: tuple[Family, ...]
    use_case: IntArray
    difficulty: FloatArray
    answer_tokens: FloatArray
    context_tokens: FloatArray
    thought: FloatArray
    max_tokens: FloatArray
    needs_schema: FloatArray

    @classmethod
    def of(cls, traffic: Traffic, routes: Mapping[str, Route]) -> "Prompts":
        """Return the prompts of a day whose use cases have these routes."""
        names = tuple(routes)
        number = {name: i for i, name in enumerate(names)}
        use_case = np.array([number[arrival.use_case] for arrival in traffic.arrivals], dtype=np.int64)
        limits = np.array([float(routes[name].settings.max_tokens or 4_096) for name in names])
        return cls(
            use_cases=names,
            families=tuple(routes[name].settings.family or "chat" for name in names),
            use_case=use_case,
            difficulty=traffic.difficulty,
            answer_tokens=traffic.answer_tokens,
            context_tokens=np.array([float(arrival.context_tokens) for arrival in traffic.arrivals]),
            thought=np.array([PROFILES[name].thought for name in names])[use_case],
            max_tokens=limits[use_case],
            needs_schema=np.array([float(arrival.needs_json_schema) for arrival in traffic.arrivals]),
        )


@dataclass(frozen=True)
class Sheet:
    """One model's answers to every prompt; arrays have one entry per prompt.

    Attributes
    ----------
    merit, quality : ndarray
        How good the answer is before grading, in (0, 1), and as a careful rater grades it; 0 where a schema is missed.
    output_tokens, reasoning_tokens : ndarray
        The first includes the second.
    valid : ndarray of bool
        Whether the reply meets the schema, where one is asked for.
    failure : ndarray
        Uniform numbers: the call fails where its number lies below the rate in force.
    failure_kind, loss : ndarray
        Uniform numbers: how a failed call fails, and whether the reply's usage gets lost.
    chances, noises : ndarray, shapes (n_prompts, N_CHANCES) and (n_prompts, N_NOISES)
        For the raters.
    """

    merit: FloatArray
    quality: FloatArray
    output_tokens: IntArray
    reasoning_tokens: IntArray
    ttft_ms: FloatArray
    latency_ms: FloatArray
    valid: np.ndarray[tuple[int], np.dtype[np.bool_]]
    failure: FloatArray
    failure_kind: FloatArray
    loss: FloatArray
    chances: FloatArray
    noises: FloatArray


def sheet(
    seed: int, model_id: str, traits: Traits, prompts: Prompts, *, max_output: int | None, handicap: float = 0.0
) -> Sheet:
    """Return what a model answers to every prompt.

    Parameters
    ----------
    max_output : int or None
        Limit of the model's own, besides the use case's.
    handicap : float
        By how much the model is worse than its traits say, on the scale of ability; all else stays as it is.
    """
    n = prompts.use_case.size
    rng = generator(seed, "answers", model_id)
    normal, uniform = rng.normal(size=(7, n)), rng.random(size=(4, n))
    ability = np.array([traits.ability[family] for family in prompts.families])[prompts.use_case] - handicap
    valid = uniform[0] >= traits.invalid_rate * prompts.needs_schema
    merit = valid / (1.0 + np.exp(-_STEEPNESS * (ability - prompts.difficulty + _OWN * normal[0])))
    visible = prompts.answer_tokens * traits.wordiness * np.exp(0.25 * normal[2])
    thinking = prompts.answer_tokens * traits.thinking * prompts.thought * np.exp(0.4 * normal[3])
    limit = np.minimum(prompts.max_tokens, np.inf if max_output is None else max_output)
    reasoning = np.floor(np.minimum(thinking, 0.8 * limit))
    output = np.maximum(np.floor(np.minimum(reasoning + visible, limit)), 1.0)
    ms_per_token = 1_000.0 / traits.tokens_per_s * np.exp(0.15 * normal[4])
    start = traits.ttft_ms * np.exp(0.35 * normal[5]) + prompts.context_tokens / _PREFILL_TOKENS_PER_MS
    # One call in thirty queues somewhere: a Pareto tail whose mean exists and whose variance does not.
    queue = np.where(uniform[1] < 1 / 30, 2.5 * (30.0 * uniform[1] + 1e-6) ** (-1 / 1.6), 1.0)
    ttft = start * queue + reasoning * ms_per_token
    return Sheet(
        merit=merit,
        quality=_quality(prompts, merit, normal[1]),
        output_tokens=output.astype(np.int64),
        reasoning_tokens=reasoning.astype(np.int64),
        ttft_ms=ttft,
        latency_ms=ttft + (output - reasoning) * ms_per_token,
        valid=valid,
        failure=uniform[2],
        failure_kind=uniform[3],
        loss=rng.random(n),
        chances=rng.random(size=(n, N_CHANCES)),
        noises=rng.normal(size=(n, N_NOISES)),
    )


def _quality(prompts: Prompts, merit: FloatArray, noise: FloatArray) -> FloatArray:
    """Return merit on each use case's own scale."""
    scales = [PANELS[name].scale for name in prompts.use_cases]
    grades = {scale: graded(scale, merit, noise) for scale in STEP if scale in scales}
    table = np.stack([grades[scale] for scale in scales])
    return np.where(merit > 0.0, table[prompts.use_case, np.arange(merit.size)], 0.0)
