"""A day's requests of the seven use cases: when they come, how long they are, and how hard, which no policy is told."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizer.decision.belief import FloatArray, IntArray
from optimizer.routes import Route
from optimizer.simulation.traits import generator

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What the requests of one use case are like.

    Attributes
    ----------
    share : float
        Of all calls.
    busy : tuple of (hour, width, weight)
        Humps of the daily profile, in hours after the day's start; what their weights leave comes evenly.
    context_tokens, output_tokens : float
        Medians.
    context_spread, output_spread : float
        Standard deviations of their logarithms.
    difficulty : float
        Mean, on the scale of the models' ability.
    turns : float
        Mean calls per session; 1 means that requests come alone.
    thought : float
        How much of a reasoning model's thinking is asked for, from 0 to 1.
    needs : tuple of float
        Shares that need tools, a JSON schema, vision.
    """

    share: float
    busy: tuple[tuple[float, float, float], ...]
    context_tokens: float
    context_spread: float
    output_tokens: float
    output_spread: float
    difficulty: float
    turns: float = 1.0
    thought: float = 1.0
    needs: tuple[float, float, float] = (0.0, 0.0, 0.0)


_OFFICE = ((10.0, 1.6, 0.45), (15.0, 1.8, 0.45))
_EVENING = ((12.5, 1.2, 0.2), (20.0, 2.0, 0.6))
_ALL_DAY = ((14.0, 4.0, 0.8),)
PROFILES: Mapping[str, Profile] = {
    "code_generation": Profile(0.20, _OFFICE, 4_500, 0.7, 700, 0.6, -1.0, turns=3.0, needs=(0.25, 0.05, 0.0)),
    "business_analytics": Profile(0.10, _OFFICE, 24_000, 0.7, 800, 0.5, -1.2, needs=(0.1, 0.4, 0.0)),
    "creative_content": Profile(0.06, _EVENING, 30_000, 0.8, 1_500, 0.5, -1.1, turns=2.0, thought=0.3),
    "quick_responses": Profile(0.24, _ALL_DAY, 1_200, 0.6, 110, 0.6, -1.4, thought=0.1, needs=(0.0, 0.15, 0.0)),
    "code_analysis": Profile(0.07, _OFFICE, 90_000, 0.8, 900, 0.5, -1.1),
    "research": Profile(0.08, ((11.0, 2.5, 0.5), (21.0, 2.0, 0.3)), 22_000, 0.7, 1_200, 0.5, -1.0, turns=1.5),
    "chat": Profile(0.25, _EVENING, 1_800, 0.7, 220, 0.6, -1.3, turns=4.0, thought=0.1, needs=(0.0, 0.0, 0.04)),
}
TENANTS = {"acme": 0.5, "globex": 0.25, "initech": 0.15, "umbrella": 0.1}


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as it comes in; its difficulty is the world's secret.

    Attributes
    ----------
    at : datetime
        Aware.
    prompt : int
        Opaque name of the prompt, counted from 0 in order of arrival.
    turn : int
        Calls of the session before this one.
    cached_tokens : int
        Tokens of `context_tokens` that a provider with a cache has seen before: the session so far.
    """

    at: datetime
    use_case: str
    context_tokens: int
    prompt: int
    tenant: str
    session_id: str | None = None
    turn: int = 0
    cached_tokens: int = 0
    needs_tools: bool = False
    needs_json_schema: bool = False
    needs_vision: bool = False


@dataclass(frozen=True, eq=False)
class Traffic:
    """A day's arrivals in order of time, and what only the world knows of them, one per arrival.

    Attributes
    ----------
    difficulty : ndarray
        Shared by all models, on the scale of their ability.
    answer_tokens : ndarray
        Visible length that the typical model's answer has.
    """

    arrivals: tuple[Arrival, ...]
    difficulty: FloatArray
    answer_tokens: FloatArray


def day_of_traffic(seed: int, start: datetime, n_calls: int, routes: Sequence[Route]) -> Traffic:
    """Return exactly `n_calls` arrivals within 24 hours of `start`, by the routes' shares of traffic."""
    shares = np.array([PROFILES[route.name].share for route in routes])
    numbers = _apportioned(shares / shares.sum(), n_calls)
    columns = [_use_case(seed, route, int(n)) for route, n in zip(routes, numbers, strict=True) if n]
    merged = {name: np.concatenate([column[name] for column in columns]) for name in columns[0]}
    order = np.argsort(merged["second"], kind="stable")
    rows = zip(*(merged[name][order].tolist() for name in _PUBLIC), strict=True)
    arrivals = tuple(_arrival(start, prompt, row) for prompt, row in enumerate(rows))
    return Traffic(arrivals, merged["difficulty"][order], merged["answer"][order])


_Row = tuple[float, str, int, str, str, int, int, bool, bool, bool]
_PUBLIC = ("second", "use_case", "context", "tenant", "session", "turn", "cached", "tools", "schema", "vision")


def _arrival(start: datetime, prompt: int, row: _Row) -> Arrival:
    second, use_case, context, tenant, session, turn, cached, *needs = row
    at = start + timedelta(seconds=second)
    session_id = f"{start.date()}/{session}" if session else None
    return Arrival(at, use_case, context, prompt, tenant, session_id, turn, cached, *needs)


def _apportioned(shares: FloatArray, total: int) -> IntArray:
    """Return whole numbers in these shares that sum to `total`, by the largest remainders."""
    numbers = np.floor(shares * total).astype(np.int64)
    most_short = np.argsort(numbers - shares * total, kind="stable")
    numbers[most_short[: total - int(numbers.sum())]] += 1
    return numbers


def _use_case(seed: int, route: Route, n: int) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of one use case's calls, session by session."""
    profile, rng = PROFILES[route.name], generator(seed, "traffic", route.name)
    session, turn = _sessions(rng, profile.turns, n)
    n_sessions = int(session[-1]) + 1
    context = _context(rng, profile, session, turn, _longest(route))
    # A session keeps its subject, so its prompts are about as hard; harder ones get longer answers.
    difficulty = profile.difficulty + 0.7 * rng.normal(size=n_sessions)[session] + 0.8 * rng.normal(size=n)
    answer = profile.output_tokens * np.exp(profile.output_spread * _bounded(rng, n) + 0.12 * difficulty)
    tools, schema, vision = (rng.random(n) < share for share in profile.needs)
    names = np.array([f"{route.name}-{i}" if profile.turns > 1.0 else "" for i in range(n_sessions)])
    return {
        "second": _seconds(rng, profile, session, turn),
        "use_case": np.full(n, route.name),
        "context": context,
        "tenant": rng.choice(list(TENANTS), size=n_sessions, p=list(TENANTS.values()))[session],
        "session": names[session],
        "turn": turn,
        "cached": np.where(turn > 0, 0.8 * np.minimum(context, np.roll(context, 1)), 0.0).astype(np.int64),
        "tools": tools,
        "schema": schema,
        "vision": vision,
        "difficulty": difficulty,
        "answer": answer,
    }


def _sessions(rng: np.random.Generator, mean_turns: float, n: int) -> tuple[IntArray, IntArray]:
    """Return each call's session and turn, both counted from 0; the last session ends with the calls."""
    turns = rng.geometric(1.0 / mean_turns, size=n)
    session = np.repeat(np.arange(n), turns)[:n]
    return session, np.arange(n) - np.searchsorted(session, session)


def _context(rng: np.random.Generator, profile: Profile, session: IntArray, turn: IntArray, longest: int) -> IntArray:
    """Return context lengths: alike within a session, and longer with each turn."""
    per_session = np.exp(profile.context_spread * _bounded(rng, int(session[-1]) + 1))[session]
    per_call = np.exp(0.1 * _bounded(rng, session.size)) * (1.0 + 0.4 * turn)
    tokens: FloatArray = profile.context_tokens * per_session * per_call
    return np.clip(tokens, 50, longest).astype(np.int64)


def _seconds(rng: np.random.Generator, profile: Profile, session: IntArray, turn: IntArray) -> FloatArray:
    """Return when each call comes, in seconds of the day; turns follow each other by a minute or two, never past it."""
    n_sessions = int(session[-1]) + 1
    weights = [weight for *_, weight in profile.busy]
    hump = rng.choice(len(weights) + 1, size=n_sessions, p=[*weights, 1.0 - sum(weights)])
    centre = np.array([*(hour for hour, *_ in profile.busy), 12.0])[hump]
    width = np.array([*(width for _, width, _ in profile.busy), 0.0])[hump]
    evenly, hump_hour = 24.0 * rng.random(n_sessions), (centre + width * rng.normal(size=n_sessions)) % 24.0
    hour = np.where(width > 0.0, hump_hour, evenly)
    elapsed = np.cumsum(np.where(turn > 0, rng.lognormal(math.log(90.0), 0.8, size=session.size), 0.0))
    second: FloatArray = hour[session] * 3_600.0 + elapsed - elapsed[np.searchsorted(session, session)]
    latest: FloatArray = DAY_S - 1.0 + 1e-3 * np.minimum(turn, 900)
    return np.minimum(second, latest)


def _bounded(rng: np.random.Generator, n: int) -> FloatArray:
    """Return standard normal numbers without the last of their tails, so that no length explodes."""
    return np.clip(rng.normal(size=n), -4.0, 4.0)


def _longest(route: Route) -> int:
    """Return the longest context that the incumbent can serve, with room for its answer."""
    windows = {candidate.model_id: candidate.context_window_tokens for candidate in route.candidates}
    window = windows.get(route.incumbent) or 128_000
    return max(1_000, window - (route.settings.max_tokens or 4_096))
