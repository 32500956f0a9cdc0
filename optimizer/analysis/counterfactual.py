"""Savings against a baseline that nobody asked: priced on the calls that were served."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from optimizer.analysis.intervals import Estimate, combined
from optimizer.analysis.saved_calls import Part, Saving, scaled, sum_of, total_of
from optimizer.analysis.served_calls import ServedCalls
from optimizer.decision.belief import FloatArray

Lengths = Mapping[str, tuple[float, int]]  # use case → its baseline's mean output tokens, calls

MIN_SERVED = 30  # calls from which a model's own output length is trusted
SPREAD = 0.3  # how far models' mean lengths usually lie apart, in log tokens; what the ledger shows moves it
_SPREAD_WEIGHT = 4.0  # models that SPREAD is worth


def priced_counterfactual(
    groups: Sequence[ServedCalls], *, min_served: int = MIN_SERVED, spread: float = SPREAD
) -> Saving:
    """Return what the calls of use cases saved against their baselines, at the baselines' prices.

    A baseline would have read each call's own input, at its own price in force. It would have written as much as it
    wrote on average where it served at least `min_served` calls of that use case, else as much as the model that
    served. What the baseline served itself saved nothing. Calls of one session count as one independent unit. The
    limits include the uncertainty of the baseline's average length; of an assumed one, how far the lengths of models
    lie apart in that use case.

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
    would = [_would_usd(group, lengths) for group in known]
    # Besides its own saving, a baseline's call that was longer than average raises what all others are priced at.
    moved = [usd + _pulls(group, lengths) for usd, group in zip(would, known, strict=True)]
    baseline = math.fsum(float(usd.sum()) for usd in would)
    paid = math.fsum(float(group.paid_usd.sum()) for group in known)
    doubt = _doubt_usd(known, lengths, min_served, spread)

    def residual(ratio: float) -> Estimate:
        left = [(1.0 - ratio) * usd - group.paid_usd for usd, group in zip(moved, known, strict=True)]
        assumed = scaled(Estimate(0.0, doubt, _SPREAD_WEIGHT), 1.0 - ratio)
        total = total_of(known, left)
        return combined([total, assumed], [1.0, 1.0]) if doubt else total

    n_known = sum(group.n_calls for group in known)
    n_unknown = sum(group.n_calls for group in groups) - n_known
    return Part("priced", _method(known, lengths), n_known, n_unknown, baseline, paid, residual)


def _method(known: Sequence[ServedCalls], lengths: Lengths) -> str:
    """Say how the lengths of the baseline's answers were had, where they were needed at all."""
    needed = [group for group in known if not group.own.all()]
    own = sorted(f"{each.baseline} in {each.use_case}" for each in needed if each.use_case in lengths)
    borrowed = sorted(f"{each.baseline} in {each.use_case}" for each in needed if each.use_case not in lengths)
    text = "priced counterfactual: the baseline's price in force times each call's own input"
    if own:
        text += f", plus the baseline's own mean output ({', '.join(own)})"
    if borrowed:
        text += f", plus the output of the model that served, for want of enough own calls ({', '.join(borrowed)})"
    return text + "; less what was paid"


def _own_lengths(known: Sequence[ServedCalls], min_served: int) -> Lengths:
    """Return use case → its baseline's own mean output tokens and the number of its calls, where it served enough."""
    served = {group.use_case: group.output_tokens[group.own] for group in known}
    return {name: (float(n.mean()), n.size) for name, n in served.items() if n.size >= max(min_served, 1)}


def _would_usd(group: ServedCalls, lengths: Lengths) -> FloatArray:
    length = lengths[group.use_case][0] if group.use_case in lengths else group.output_tokens
    return np.where(group.own, group.paid_usd, group.baseline_usd(length))


def _pulls(group: ServedCalls, lengths: Lengths) -> FloatArray:
    """Return by how many dollars each of the baseline's own calls moves the sum through its average length."""
    if group.use_case not in lengths:
        return np.zeros(group.n_calls)
    mean, n = lengths[group.use_case]
    per_token = float(group.list_usd_per_token[~group.own].sum())
    return np.where(group.own, per_token / n * (group.output_tokens - mean), 0.0)


def _doubt_usd(known: Sequence[ServedCalls], lengths: Lengths, min_served: int, spread: float) -> float:
    """Return the standard error of what assumed lengths cost: one length for each baseline, wherever it is assumed."""
    by_baseline: dict[str, float] = defaultdict(float)
    for group in known:
        if spread > 0.0 and group.use_case not in lengths:
            output = (group.list_usd_per_token * group.output_tokens)[~group.own].sum()
            by_baseline[group.baseline] += _spread(group, min_served, spread) * float(output)
    return math.sqrt(sum(usd**2 for usd in by_baseline.values()))


def _spread(group: ServedCalls, min_served: int, spread: float) -> float:
    """Return the standard deviation of log mean output between models, shrunk to the usual one."""
    n = np.bincount(group.model)
    total = np.bincount(group.model, weights=group.output_tokens)
    enough = n >= max(min_served, 1)
    means = np.log(np.maximum(total[enough] / n[enough], 1.0))
    square = means.size * float(np.var(means)) if means.size > 1 else 0.0
    freedom = max(means.size - 1, 0)
    return math.sqrt((_SPREAD_WEIGHT * spread**2 + square) / (_SPREAD_WEIGHT + freedom))
