"""Savings against a baseline that nobody asked: priced on the calls that were served."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from optimizer.analysis.intervals import Estimate, combined
from optimizer.analysis.saved_calls import Part, Saving, ServedCall, dollars, scaled, sum_of, total_of

Lengths = Mapping[tuple[str, str], tuple[float, int]]  # (use case, baseline) → mean output tokens, calls

MIN_SERVED = 30  # calls from which a model's own output length is trusted
SPREAD = 0.3  # how far models' mean lengths usually lie apart, in log tokens; what the ledger shows moves it
_SPREAD_WEIGHT = 4.0  # models that SPREAD is worth


def priced_counterfactual(
    calls: Iterable[ServedCall], *, min_served: int = MIN_SERVED, spread: float = SPREAD
) -> Saving:
    """Return what the calls saved against their baselines, at the baselines' prices.

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
    return sum_of([priced(list(calls), min_served=min_served, spread=spread)])


def priced(calls: Sequence[ServedCall], *, min_served: int = MIN_SERVED, spread: float = SPREAD) -> Part:
    """Return the same as a part of a saving."""
    known = [call for call in calls if call.priced]
    lengths = _own_lengths(known, min_served)
    would = np.array([_would_usd(call, lengths) for call in known])
    paid = dollars(known)
    # Besides its own saving, a baseline's call that was longer than average raises what all others are priced at.
    moved = would + np.array(_pulls(known, lengths))
    baseline, doubt = float(would.sum()), _doubt_usd(known, lengths, min_served, spread)

    def residual(ratio: float) -> Estimate:
        total = total_of(known, moved - paid - ratio * moved)
        assumed = scaled(Estimate(0.0, doubt, _SPREAD_WEIGHT), 1.0 - ratio)
        return combined([total, assumed], [1.0, 1.0]) if doubt else total

    method = _method(known, lengths)
    return Part("priced", method, len(known), len(calls) - len(known), baseline, float(paid.sum()), residual)


def _method(known: Sequence[ServedCall], lengths: Lengths) -> str:
    """Say how the lengths of the baseline's answers were had, where they were needed at all."""
    pairs = {(call.use_case, call.baseline) for call in known if call.model_id != call.baseline}
    own = sorted(f"{baseline} in {use_case}" for use_case, baseline in pairs if (use_case, baseline) in lengths)
    borrowed = sorted(
        f"{baseline} in {use_case}" for use_case, baseline in pairs if (use_case, baseline) not in lengths
    )
    text = "priced counterfactual: the baseline's price in force times each call's own input"
    if own:
        text += f", plus the baseline's own mean output ({', '.join(own)})"
    if borrowed:
        text += f", plus the output of the model that served, for want of enough own calls ({', '.join(borrowed)})"
    return text + "; less what was paid"


def _own_lengths(known: Sequence[ServedCall], min_served: int) -> Lengths:
    """Return (use case, baseline) → its own mean output tokens and the number of its calls, where it served enough."""
    served: dict[tuple[str, str], list[int]] = {}
    for call in known:
        if call.model_id == call.baseline and call.output_tokens is not None:
            served.setdefault((call.use_case, call.baseline), []).append(call.output_tokens)
    return {key: (sum(n) / len(n), len(n)) for key, n in served.items() if len(n) >= min_served}


def _would_usd(call: ServedCall, lengths: Lengths) -> float:
    if call.model_id == call.baseline:
        return call.paid_usd or 0.0
    length = lengths.get((call.use_case, call.baseline), (call.output_tokens, 0))[0]
    return call.baseline_usd(length) or 0.0


def _pulls(known: Sequence[ServedCall], lengths: Lengths) -> list[float]:
    """Return by how many dollars each of the baseline's own calls moves the sum through its average length."""
    per_token: dict[tuple[str, str], float] = {}
    for call in known:
        if call.model_id != call.baseline:
            key = call.use_case, call.baseline
            per_token[key] = per_token.get(key, 0.0) + _usd_per_token(call)

    def pull(call: ServedCall) -> float:
        key = call.use_case, call.baseline
        if call.model_id != call.baseline or key not in lengths:
            return 0.0
        mean, n = lengths[key]
        return per_token.get(key, 0.0) / n * ((call.output_tokens or 0) - mean)

    return [pull(call) for call in known]


def _usd_per_token(call: ServedCall) -> float:
    return call.baseline_price.per_token(call.input_tokens or 0)[2] or 0.0


def _doubt_usd(known: Sequence[ServedCall], lengths: Lengths, min_served: int, spread: float) -> float:
    """Return the standard error of what assumed lengths cost: one length for each baseline, wherever it is assumed."""
    if spread <= 0.0:
        return 0.0
    apart = _spreads(known, min_served, spread)
    by_baseline: dict[str, float] = defaultdict(float)
    for call in known:
        if call.model_id != call.baseline and (call.use_case, call.baseline) not in lengths:
            output = _usd_per_token(call) * (call.output_tokens or 0)
            by_baseline[call.baseline] += apart[call.use_case] * output
    return math.sqrt(sum(usd**2 for usd in by_baseline.values()))


def _spreads(known: Sequence[ServedCall], min_served: int, spread: float) -> dict[str, float]:
    """Return use case → standard deviation of log mean output between models, shrunk to the usual one."""
    outputs: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for call in known:
        outputs[call.use_case][call.model_id].append(call.output_tokens or 0)
    found = {}
    for use_case, by_model in outputs.items():
        means = [math.log(max(sum(n) / len(n), 1.0)) for n in by_model.values() if len(n) >= min_served]
        square = len(means) * float(np.var(means)) if len(means) > 1 else 0.0
        freedom = max(len(means) - 1, 0)
        found[use_case] = math.sqrt((_SPREAD_WEIGHT * spread**2 + square) / (_SPREAD_WEIGHT + freedom))
    return found
