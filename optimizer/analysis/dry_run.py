"""The dry run of other policies on a ledger: what they would have cost, how good and how fast they would have been.

Estimates are doubly robust, by use case and over all of them, and refused where the log says too little. What really
happened stands beside them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from optimizer.analysis.dry_run_log import COST, MEASURES, QUALITY, UseCaseLog, make_log, sort_out
from optimizer.analysis.dry_run_policy import Decider, Policy, target_of
from optimizer.analysis.estimators import (
    MAX_OFF_SUPPORT,
    LoggedCalls,
    Options,
    Overlap,
    Predicted,
    doubly_robust,
    predicted,
    robust_difference,
    supported,
    whole_sessions,
)
from optimizer.analysis.estimators import Estimate as Judged
from optimizer.analysis.intervals import mean_estimate
from optimizer.decision.belief import FloatArray
from optimizer.domain import RewardRule
from optimizer.ledger.calls import StoredCall

ALL = "all"
_LEAST_KNOWN = 30  # values of a measure; fewer are not worth an estimate
_PASSED_OVER = 0.1  # of a context's calls, and of a policy's choices there, that may differ


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean of one measure per call, with its 95% limits; None where it is refused or not known."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """One policy in one use case, or in all.

    Attributes
    ----------
    figures : mapping of str to Figure
        By measure: `cost_usd`, `quality` and `latency_ms`, each per call.
    share : mapping of str to Figure
        Model → share of the calls that the policy would have given it.
    ess : float or None
        As many calls of the policy itself would tell as much of its cost; None for what really happened.
    off_support : float or None
        Share of the policy's choices that could not have been drawn at the time.
    n_undecided : int
        Calls left out, because by this policy nobody that was eligible could serve.
    beside : mapping of str to Figure
        Measure → by how much it is above that of the policy that served, on the same calls; empty for what
        really happened.
    overlaps : mapping of str to Overlap
        Measure → how much the log can say of the policy in it; empty for what really happened.
    """

    policy: str
    use_case: str
    n_calls: int
    figures: Mapping[str, Figure]
    share: Mapping[str, Figure]
    ess: float | None = None
    off_support: float | None = None
    n_undecided: int = 0
    beside: Mapping[str, Figure] = field(default_factory=dict)
    overlaps: Mapping[str, Overlap] = field(default_factory=dict)

    @property
    def total_usd(self) -> Figure:
        """Cost of all the calls together."""
        cost, n = self.figures[COST], self.n_calls
        if cost.value is None:
            return cost
        low, high = (None if limit is None else limit * n for limit in (cost.low, cost.high))
        return Figure(cost.value * n, low, high)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        facts = {name: value for name, value in asdict(self).items() if name != "overlaps"}
        return {
            **facts,
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "beside": {name: asdict(figure) for name, figure in self.beside.items()},
            "share": {model: asdict(figure) for model, figure in self.share.items()},
            "total_usd": asdict(self.total_usd),
        }


@dataclass(frozen=True)
class DryRun:
    """What really happened, then every policy; use case by use case, and all together where there are several.

    Attributes
    ----------
    left_out : mapping of str to int
        Why calls are left out → how many.
    """

    happened: tuple[PolicyResult, ...]
    policies: tuple[PolicyResult, ...]
    left_out: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "happened": [each.to_dict() for each in self.happened],
            "policies": [each.to_dict() for each in self.policies],
            "left_out": dict(self.left_out),
            "method": METHOD,
        }


METHOD = (
    "doubly robust off-policy estimates with a model fitted on earlier calls only, sessions as units, use cases and "
    "lengths as strata; a policy that is decided anew knows, hour by hour, the evidence of buckets that had ended; "
    "eligible is who was at the time; spending limits are left aside, failovers are as they were"
)


def dry_run(
    calls: Iterable[StoredCall],
    policies: Mapping[str, Policy],
    rules: Mapping[str, RewardRule],
    told: Callable[[], None] = lambda: None,
) -> DryRun:
    """Return the dry run of policies, by name, on logged calls in order of time.

    Parameters
    ----------
    rules : mapping of str to RewardRule
        Use case → what its quality is; calls of others are left out.
    told : callable
        Told of every call that a policy has decided.
    """
    sorted_out, left_out = sort_out(calls)
    for name in sorted_out.keys() - rules.keys():
        left_out["of use cases that are not configured"] += len(sorted_out.pop(name))
    groups = dict(sorted(sorted_out.items()))
    if len(groups) > 1:
        everything = (call for mine in groups.values() for call in mine)
        groups[ALL] = sorted(everything, key=lambda call: (call.selection.decided_at, call.selection.call_id))
    happened: list[PolicyResult] = []
    found: dict[str, list[PolicyResult]] = {name: [] for name in policies}
    for use_case, mine in groups.items():
        log = make_log(use_case, mine, rules, _new_models(mine, policies))
        happened.append(_happened(log))
        ahead: dict[str, Predicted] = {}
        for name, policy in policies.items():
            found[name].append(_judged(name, log, target_of(log, policy, told), ahead))
    return DryRun(tuple(happened), tuple(row for rows in found.values() for row in rows), dict(left_out))


def _new_models(calls: Sequence[StoredCall], policies: Mapping[str, Policy]) -> set[str]:
    """Return the models that policies may choose beside those that were drawn from."""
    found = {call.selection.decision.incumbent for call in calls}
    for policy in policies.values():
        if isinstance(policy, Decider):
            times = {(call.selection.use_case, call.selection.decided_at) for call in calls}
            found |= policy.models(times)
        else:
            found |= policy(calls[0].selection).keys()
    return found


def _happened(log: UseCaseLog) -> PolicyResult:
    served = [None if call.served is None else call.served.model_id for call in log.stored]
    counts = Counter(model for model in served if model is not None)
    share = {
        model: _mean(np.array([float(each == model) for each in served]), log.logged)
        for model, _ in counts.most_common()
    }
    figures = {measure: _mean(log.rewards[measure], log.logged) for measure in MEASURES}
    return PolicyResult("what happened", log.use_case, log.logged.n_calls, figures, share)


def _judged(name: str, log: UseCaseLog, target: FloatArray, ahead: dict[str, Predicted]) -> PolicyResult:
    """Return one policy's result; `ahead` keeps what is expected of calls, by measure, for all who decide all calls."""
    decided = _decided(log.logged, target)
    calls, target = log.logged.take(decided), target[decided]
    n_undecided = int((~decided).sum())
    if not calls.n_calls:
        none = Figure(refused="nobody that was eligible could serve by this policy")
        return PolicyResult(name, log.use_case, 0, dict.fromkeys(MEASURES, none), {}, None, None, n_undecided)
    foreseen = ahead if decided.all() else {}
    judged: dict[str, Judged | None] = dict.fromkeys(MEASURES)
    differences: dict[str, Judged | None] = dict.fromkeys(MEASURES)
    for measure in MEASURES:
        rewarded = calls.with_rewards(log.rewards[measure][decided])
        if int(rewarded.rated.sum()) >= _LEAST_KNOWN:
            if measure not in foreseen:
                foreseen[measure] = predicted(rewarded, target.shape[1])
            judged[measure] = _estimate(rewarded, target, measure, foreseen[measure])
            differences[measure] = robust_difference(rewarded, target, log.shares[decided], ahead=foreseen[measure])
    why_not = _why_not(_unlike(calls, target))
    at = calls.draw
    share = {model: _mean(target[at, i], calls) for i, model in enumerate(log.models) if target[at, i].any()}
    cost = judged[COST]
    figures, beside = (
        {measure: _figure(each, why_not) for measure, each in some.items()} for some in (judged, differences)
    )
    overlaps = {measure: each.overlap for measure, each in judged.items() if each is not None}
    ess, off = None if cost is None else cost.ess, _off_support(calls, target)
    return PolicyResult(name, log.use_case, calls.n_calls, figures, share, ess, off, n_undecided, beside, overlaps)


def _decided(calls: LoggedCalls, target: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return for which calls the policy has a distribution: sessions go with their first draw."""
    has = target[calls.draw].sum(axis=1) > 0.0
    found = np.array(has, dtype=np.bool_)
    if found.any():
        kept = np.flatnonzero(found)
        found[kept] = whole_sessions(calls.unit[kept], calls.propensity[kept])
    return found


def _estimate(calls: LoggedCalls, target: FloatArray, measure: str, ahead: Predicted) -> Judged:
    # What a call costs hangs on its length also inside a stratum, and so does who is drawn: weights that follow the
    # draws' precision would make the mean one of other lengths. Quality hardly does.
    return doubly_robust(calls, target, Options(stabilised=measure == QUALITY), ahead=ahead)


def _unlike(calls: LoggedCalls, target: FloatArray) -> float:
    """Return the share of the calls that are of contexts where calls that are passed over met another policy.

    An estimate passes over calls at which somebody was chosen who could not be drawn, and lets the rest of the context
    speak for them. That is right for a policy that always chooses alike there, not for one that learns.
    """
    shares, context, kept = target[calls.draw], calls.context, supported(calls, target)
    n = np.bincount(context)
    sums = np.zeros((2, n.size, target.shape[1]))
    np.add.at(sums, (kept.astype(np.intp), context), shares)
    n_kept = np.bincount(context[kept], minlength=n.size)
    counts = np.stack([n - n_kept, n_kept])
    passed, stayed = sums / np.maximum(counts, 1)[:, :, None]
    apart = 0.5 * np.abs(passed - stayed).sum(axis=1)
    unlike = (counts[0] > _PASSED_OVER * n) & (n_kept > 0) & (apart > _PASSED_OVER)
    return float(n[unlike].sum()) / calls.n_calls


def _why_not(unlike: float) -> str | None:
    if unlike <= MAX_OFF_SUPPORT:
        return None
    return (
        f"{unlike:.0%} of the calls are of contexts where this policy often chose somebody who could not be drawn, and "
        "chose otherwise at the times that the log can speak of; explore more, or judge a policy closer to what served"
    )


def _figure(judged: Judged | None, why_not: str | None) -> Figure:
    if judged is None:
        return Figure(refused=f"fewer than {_LEAST_KNOWN} calls have it on record")
    if why_not is not None and judged.refused is None:
        return Figure(refused=why_not)
    return Figure(judged.value, judged.low, judged.high, judged.refused)


def _off_support(calls: LoggedCalls, target: FloatArray) -> float:
    at = calls.draw
    could = calls.distribution if calls.distribution is not None else np.ones_like(target)
    return float(np.where(could[at] <= 0.0, target[at], 0.0).sum(axis=1).mean())


def _mean(values: FloatArray, calls: LoggedCalls) -> Figure:
    known = ~np.isnan(values)
    if not known.any():
        return Figure(refused="no call has it on record")
    found = mean_estimate(values[known], calls.unit[known].tolist()).interval()
    return Figure(found.value, found.low, found.high)
