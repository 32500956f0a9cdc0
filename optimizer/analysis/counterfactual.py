"""Savings against a baseline that nobody asked: priced on the calls that were served."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from optimizer.analysis.intervals import Estimate, combined, ratio_estimate
from optimizer.analysis.saved_calls import Part, Saving, sum_of
from optimizer.analysis.served_calls import ServedCalls
from optimizer.decision.belief import FloatArray

Lengths = Mapping[str, tuple[float, int]]  # use case → its baseline's mean output tokens, calls

MIN_SERVED = 30  # calls from which a model's own output length is trusted
SPREAD = 0.3  # how far models' mean lengths usually lie apart, in log tokens; what the ledger shows moves it
_SPREAD_WEIGHT = 4.0  # models that SPREAD is worth
_CALLS_APART = 0.5  # how far two models' answers to one request lie apart beside that, in log tokens


def priced_counterfactual(
    groups: Sequence[ServedCalls], *, min_served: int = MIN_SERVED, spread: float = SPREAD
) -> Saving:
    """Return what the calls of use cases saved against their baselines, at the baselines' prices.

    A baseline would have read each call's own input, at its own price in force. It would have written as much as it
    wrote on average where it served at least `min_served` calls of that use case, else as much as the model that
    served, without its thoughts if the baseline does not think. What the baseline served itself saved nothing. The
    limits are the uncertainty of the baseline's average length, taken over sessions, and of each call around it; of an
    assumed one, how far the lengths of models lie apart in that use case.

    Parameters
    ----------
    spread : float
        How far they usually do, in log tokens, where the calls do not tell; 0 trusts the assumption.
    """
    return sum_of([priced(groups, min_served=min_served, spread=spread)])


def priced(groups: Sequence[ServedCalls], *, min_served: int = MIN_SERVED, spread: float = SPREAD) -> Part:
    """Return the same as a part of a saving."""
    known = [group.take(group.priced) for group in groups]
    lengths = _own_lengths(known, min_served)
    baseline = math.fsum(float(_would_usd(group, lengths).sum()) for group in known)
    paid = math.fsum(float(group.paid_usd.sum()) for group in known)
    doubts = [*_measured_doubts(known, lengths), *_assumed_doubts(known, lengths, min_served, spread)]
    doubt = combined(doubts, [1.0] * len(doubts))
    n_known = sum(group.n_calls for group in known)
    n_unknown = sum(group.n_calls for group in groups) - n_known
    freedom = doubt.freedom if doubt.error else math.inf
    return Part("priced", _method(known, lengths), n_known, n_unknown, baseline, paid, doubt.error, freedom)


def _method(known: Sequence[ServedCalls], lengths: Lengths) -> str:
    """Say how the lengths of the baseline's answers were had, where they were needed at all."""
    needed = [group for group in known if not group.own.all()]
    own = sorted(f"{each.baseline} in {each.use_case}" for each in needed if each.use_case in lengths)
    borrowed = sorted(f"{each.baseline} in {each.use_case}" for each in needed if each.use_case not in lengths)
    text = "priced counterfactual: the baseline's price in force times each call's own input"
    if own:
        text += f", plus the baseline's own mean output ({', '.join(own)})"
    if borrowed:
        text += f", plus the answer of the model that served, for want of enough own calls ({', '.join(borrowed)})"
    return text + "; less what was paid"


def _own_lengths(known: Sequence[ServedCalls], min_served: int) -> Lengths:
    """Return use case → its baseline's own mean output tokens and the number of its calls, where it served enough."""
    served = {group.use_case: group.output_tokens[group.own] for group in known}
    return {name: (float(n.mean()), n.size) for name, n in served.items() if n.size >= max(min_served, 1)}


def _would_usd(group: ServedCalls, lengths: Lengths) -> FloatArray:
    length = lengths[group.use_case][0] if group.use_case in lengths else group.answer_tokens
    return np.where(group.own, group.paid_usd, group.baseline_usd(length))


def _measured_doubts(known: Sequence[ServedCalls], lengths: Lengths) -> Iterator[Estimate]:
    """Yield the errors of what measured lengths cost: of the mean, and of each call around it."""
    for group in known:
        if group.use_case in lengths and not group.own.all():
            own, others = group.take(group.own), group.take(~group.own)
            mean = ratio_estimate(own.by_unit(own.output_tokens), own.by_unit(np.ones(own.n_calls)))
            apart = float(np.std(own.output_tokens))
            of_each = apart * math.sqrt(float((others.by_unit(others.list_usd_per_token) ** 2).sum()))
            of_mean = mean.error * float(others.list_usd_per_token.sum())
            yield Estimate(0.0, math.hypot(of_mean, of_each), mean.freedom)


def _assumed_doubts(
    known: Sequence[ServedCalls], lengths: Lengths, min_served: int, spread: float
) -> Iterator[Estimate]:
    """Yield the errors of what assumed lengths cost: of the calls, and one for each baseline, wherever assumed."""
    by_baseline: dict[str, float] = defaultdict(float)
    freedoms: dict[str, float] = {}
    for group in known:
        if spread <= 0.0 or group.use_case in lengths or group.own.all():
            continue
        others = group.take(~group.own)
        usd = others.list_usd_per_token * others.answer_tokens
        apart, freedom = _spread(group, min_served, spread)
        by_baseline[group.baseline] += apart * float(usd.sum())
        freedoms[group.baseline] = min(freedom, freedoms.get(group.baseline, freedom))
        yield Estimate(0.0, _CALLS_APART * math.sqrt(float((others.by_unit(usd) ** 2).sum())), freedom)
    for baseline, doubt_usd in by_baseline.items():
        yield Estimate(0.0, doubt_usd, freedoms[baseline])


def _spread(group: ServedCalls, min_served: int, spread: float) -> tuple[float, float]:
    """Return the standard deviation of log mean answers between models, shrunk to the usual one, and its freedom."""
    n = np.bincount(group.model)
    total = np.bincount(group.model, weights=group.answer_tokens)
    enough = n >= max(min_served, 1)
    means = np.log(np.maximum(total[enough] / n[enough], 1.0))
    square = means.size * float(np.var(means)) if means.size > 1 else 0.0
    freedom = _SPREAD_WEIGHT + max(means.size - 1, 0)
    return math.sqrt((_SPREAD_WEIGHT * spread**2 + square) / freedom), freedom
