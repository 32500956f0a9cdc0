"""Logged calls of a use case as estimators take them: who was drawn from what, what it cost, how good, how fast."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.analysis.estimators import LoggedCalls, whole_sessions
from optimizer.decision.belief import FloatArray, IntArray
from optimizer.decision.credit import call_reward
from optimizer.domain import JUDGING, NANO_USD, RewardRule
from optimizer.ledger.calls import StoredCall

COST, QUALITY, LATENCY = "cost_usd", "quality", "latency_ms"
MEASURES = (COST, QUALITY, LATENCY)
_MIN_STRATUM = 50  # sessions, or calls without one, of a stratum of lengths
_MOST_STRATA = 4


@dataclass(frozen=True)
class UseCaseLog:
    """The drawn calls of one use case, or of all together, in order of time.

    Attributes
    ----------
    models : tuple of str
        Names of the arms: every model that could be drawn or that a policy may choose.
    rewards : mapping of str to ndarray, shape (n_calls,)
        Measure → values, NaN where unknown.
    shares : ndarray, shape (n_calls, n_models)
        What each call was drawn from.
    """

    use_case: str
    models: tuple[str, ...]
    stored: tuple[StoredCall, ...]
    logged: LoggedCalls
    rewards: dict[str, FloatArray]
    shares: FloatArray


def sort_out(calls: Iterable[StoredCall]) -> tuple[dict[str, list[StoredCall]], Counter[str]]:
    """Return use case → calls whose draw was followed; and why how many others are left out, in words."""
    kept: dict[str, list[StoredCall]] = {}
    left_out: Counter[str] = Counter()
    for call in calls:
        if (why := _left_out(call)) is not None:
            left_out[why] += 1
        else:
            kept.setdefault(call.selection.use_case, []).append(call)
    for use_case, mine in kept.items():
        unit = _units(mine)
        propensity = np.array([_propensity(call) for call in mine])
        whole = whole_sessions(unit, propensity)
        if n_cut := int((~whole).sum()):
            left_out["of sessions that began before, or without a draw"] += n_cut
            kept[use_case] = [call for call, stays in zip(mine, whole, strict=True) if stays]
    return {name: mine for name, mine in kept.items() if mine}, left_out


def _left_out(call: StoredCall) -> str | None:
    selection = call.selection
    if selection.use_case == JUDGING:
        return "judges' calls"
    if any(attempt.reused for attempt in call.attempts):
        return "got another call's reply"
    if selection.overridden_by not in (None, "session"):
        return f"not drawn: {str(selection.overridden_by).partition(':')[0]}"
    if not selection.distribution:
        return "not drawn: nobody was eligible"
    return None


def make_log(
    use_case: str, calls: Sequence[StoredCall], rules: Mapping[str, RewardRule], more: Iterable[str] = ()
) -> UseCaseLog:
    """Return the log of drawn calls in order of time, with an arm for each of `more` models too."""
    models = tuple(sorted({*more, *(m for call in calls for m in call.selection.distribution)} | _drawn(calls)))
    place = {model: i for i, model in enumerate(models)}
    shares = np.zeros((len(calls), len(models)))
    for row, call in enumerate(calls):
        for model, share in call.selection.distribution.items():
            shares[row, place[model]] = share
    tokens, unit = np.array([float(call.selection.request.context_tokens) for call in calls]), _units(calls)
    rewards = {
        COST: np.array([_cost(call) for call in calls]),
        QUALITY: np.array([_quality(call, rules[call.selection.use_case]) for call in calls]),
        LATENCY: np.array([_latency(call) for call in calls]),
    }
    logged = LoggedCalls(
        arm=np.array([place[call.selection.drawn_model_id] for call in calls], dtype=np.intp),
        propensity=np.array([_propensity(call) for call in calls]),
        reward=rewards[COST],
        context=_strata(calls, tokens, unit),
        unit=unit,
        time_s=np.array([call.selection.decided_at.timestamp() for call in calls]),
        distribution=shares,
        features=np.log1p(tokens)[:, None],
    )
    return UseCaseLog(use_case, models, tuple(calls), logged, rewards, shares)


def _drawn(calls: Sequence[StoredCall]) -> set[str]:
    return {call.selection.drawn_model_id for call in calls}


def _propensity(call: StoredCall) -> float:
    propensity = call.selection.propensity
    return math.nan if propensity is None else propensity


def _units(calls: Sequence[StoredCall]) -> IntArray:
    names: dict[tuple[str, str], int] = {}
    keys = ((call.selection.use_case, _name(call)) for call in calls)
    return np.array([names.setdefault(key, len(names)) for key in keys], dtype=np.intp)


def _name(call: StoredCall) -> str:
    return call.selection.request.session_id or call.selection.call_id


def _strata(calls: Sequence[StoredCall], tokens: FloatArray, unit: IntArray) -> IntArray:
    """Return a code for use case, segment and length at the session's start, as fine as leaves calls enough in each."""
    # Later turns, which are longer, go with the draw: what it was made from hung on the length then.
    _, first, number = np.unique(unit, return_index=True, return_inverse=True)
    at_start = tokens[first][number.reshape(-1)]
    names = {name: i for i, name in enumerate(dict.fromkeys(call.selection.use_case for call in calls))}
    of = np.array([names[call.selection.use_case] for call in calls])
    length = np.zeros(len(calls), dtype=np.intp)
    for i in names.values():
        mine = of == i
        n_lengths = max(1, min(_MOST_STRATA, int(np.unique(unit[mine]).size) // _MIN_STRATUM))
        edges = np.unique(np.quantile(at_start[mine], np.arange(1, n_lengths) / n_lengths))
        length[mine] = np.searchsorted(edges, at_start[mine], side="right")
    codes: dict[tuple[int, str, int], int] = {}
    keys = zip(of.tolist(), (call.selection.segment for call in calls), length.tolist(), strict=True)
    return np.array([codes.setdefault(key, len(codes)) for key in keys], dtype=np.intp)


def _cost(call: StoredCall) -> float:
    costs = [attempt.cost_nano_usd for attempt in call.attempts]
    known = [cost for cost in costs if cost is not None]
    return sum(known) / NANO_USD if costs and len(known) == len(costs) else math.nan


def _quality(call: StoredCall, rule: RewardRule) -> float:
    reward = None if call.served is None else call_reward(call.feedback, rule)
    return math.nan if reward is None else reward


def _latency(call: StoredCall) -> float:
    served = call.served
    return math.nan if served is None or served.latency_ms is None else served.latency_ms
