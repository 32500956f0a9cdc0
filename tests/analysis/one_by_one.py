"""The reference: savings call by call, an object each and a loop over them, as plainly as they can be written."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimizer.analysis.accounts import BaselinePrices
from optimizer.analysis.estimators import Estimate as Judged
from optimizer.analysis.estimators import LoggedCalls, Options, Predicted, doubly_robust
from optimizer.analysis.intervals import Estimate, combined, mean_estimate, ratio_estimate
from optimizer.analysis.saved_calls import MIN_STRATUM, Part, Saving, scaled, sum_of
from optimizer.analysis.served_calls import Draws, ServedCalls
from optimizer.decision.belief import FloatArray
from optimizer.domain import Price
from optimizer.ledger.draws import Drawn
from optimizer.ledger.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Draw:
    """The draw that settled a call: its own, or its session's.

    Attributes
    ----------
    first : bool
        Whether it was this call that was drawn, rather than an earlier one of its session.
    baseline, baseline_share : bool, float
        Whether the baseline was drawn, and how likely that was.
    held_out, held_share : bool, float
        Whether it was held out for the incumbent, and how likely that was; 0 where there was no experiment.
    incumbent : str
    at_s : float
        When the call was decided, seconds since the epoch.
    """

    first: bool
    baseline: bool
    baseline_share: float
    held_out: bool
    held_share: float
    incumbent: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ServedCall:
    """One served call and the baseline it is compared with; None is unknown.

    Attributes
    ----------
    use_case, model_id : str
        What was asked, and who served it.
    baseline, baseline_price : str, Price
        Who would have served it, and what that model charged at the time of the call.
    input_tokens, cached_tokens, output_tokens : int or None
        Of the served reply; input counts the cached ones too.
    paid_usd : float or None
        What the call cost, failed attempts included.
    session_id : str or None
        Calls of one session were decided together and resemble each other.
    held_out : bool
        Whether the call, or the draw of its session, was kept for the incumbent as an experiment.
    draw : Draw or None
        None where something stood above the draw, or it is not known.
    """

    use_case: str
    model_id: str
    baseline: str
    baseline_price: Price
    input_tokens: int | None
    output_tokens: int | None
    paid_usd: float | None
    cached_tokens: int = 0
    session_id: str | None = None
    held_out: bool = False
    draw: Draw | None = None

    def baseline_usd(self, output_tokens: float | None) -> float | None:
        """Return what the baseline would have charged for an output of this length; None where that is unknown."""
        if self.input_tokens is None or self.output_tokens is None or output_tokens is None:
            return None
        return self.baseline_price.cost_usd(self.input_tokens, output_tokens, self.cached_tokens)

    @property
    def priced(self) -> bool:
        """Whether both what was paid and what the baseline would charge are known."""
        return self.paid_usd is not None and self.baseline_usd(0.0) is not None


def total_of(calls: Sequence[ServedCall], values: FloatArray) -> Estimate:
    """Return the sum of the calls' values, its error taken inside each use case: the mix of use cases is given."""
    parts = []
    for group in _strata(calls):
        clusters = [_unit(i, calls[i]) for i in group]
        parts.append(scaled(mean_estimate(values[group], clusters), len(group)))
    return combined(parts, [1.0] * len(parts))


def _strata(calls: Sequence[ServedCall]) -> list[list[int]]:
    """Return the positions of the calls by use case, with small ones joined until each has `MIN_STRATUM` units."""
    by_use_case: dict[str, list[int]] = {}
    for i, call in enumerate(calls):
        by_use_case.setdefault(call.use_case, []).append(i)

    def size(group: list[int]) -> int:
        return len({_unit(i, calls[i]) for i in group})

    strata: list[list[int]] = []
    for group in sorted(by_use_case.values(), key=size):
        if strata and size(strata[-1]) < MIN_STRATUM:
            strata[-1] += group
        else:
            strata.append(group)
    if len(strata) > 1 and size(strata[-1]) < MIN_STRATUM:
        last = strata.pop()
        strata[-1] += last
    return strata


def units(calls: Iterable[ServedCall]) -> list[Hashable]:
    """Return for each call what is independent of all else: its session, or the call itself."""
    return [_unit(i, call) for i, call in enumerate(calls)]


def _unit(position: int, call: ServedCall) -> Hashable:
    return position if call.session_id is None else call.session_id


def dollars(calls: Iterable[ServedCall]) -> FloatArray:
    """Return what calls cost, unknown ones as nothing."""
    return np.array([call.paid_usd or 0.0 for call in calls])


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


MIN_HELD_OUT = 20  # sessions, or calls without one, on either side of an experiment


def experiment(calls: Iterable[ServedCall], *, min_held_out: int = MIN_HELD_OUT) -> Saving | None:
    """Return what the optimised calls saved against the held-out ones, which the incumbent served by lot.

    Hand in only calls that were drawn (no pins, rules or warm-up): only those were allotted by chance, and only of use
    cases whose incumbent is their baseline.

    Returns
    -------
    Saving or None
        Over the optimised calls; None where a use case has fewer than `min_held_out` sessions (or calls without one)
        on either side.
    """
    by_use_case: dict[str, list[ServedCall]] = defaultdict(list)
    for call in calls:
        by_use_case[call.use_case].append(call)
    parts = [experiment_part(group, min_held_out=min_held_out) for group in by_use_case.values()]
    found = [part for part in parts if part is not None]
    return sum_of(found) if found and len(found) == len(parts) else None


def experiment_part(calls: Sequence[ServedCall], *, min_held_out: int = MIN_HELD_OUT) -> Part | None:
    """Return one use case's experiment over its optimised calls; None where either side is too small."""
    known = [call for call in calls if call.paid_usd is not None]
    foreseen = _foreseen_usd(known)
    held = np.array([call.held_out for call in known], dtype=np.bool_)
    held_calls = [call for call in known if call.held_out]
    rest = [call for call in known if not call.held_out]
    if min(len(set(units(held_calls))), len(set(units(rest)))) < min_held_out:
        return None
    odds = np.array([_odds_of_rest(call) for call in held_calls])
    missed = odds * (dollars(held_calls) - foreseen[held])
    more, paid, n = ratio_estimate(missed, odds, units(held_calls)), dollars(rest), len(rest)
    baseline = float(foreseen[~held].sum()) + n * more.value

    def residual(ratio: float) -> Estimate:
        own = total_of(rest, (1.0 - ratio) * foreseen[~held] - paid)
        return combined([own, scaled(more, n)], [1.0, 1.0 - ratio])

    return Part("experiment", _EXPERIMENT, n, len(calls) - len(known), baseline, float(paid.sum()), residual)


def off_policy(calls: Sequence[ServedCall], options: Options | None = None) -> tuple[Part | None, Judged]:
    """Return one use case's saving over drawn calls, where the baseline could be drawn too, and the estimate behind it.

    The part is None where the estimate is refused, which says why. Calls must be in order of time, and sessions begin
    with their draw.
    """
    known = [call for call in calls if call.paid_usd is not None]
    foreseen, paid = _foreseen_usd(known), dollars(known)
    logged = _logged(known, paid - foreseen)
    only_baseline = np.tile([1.0, 0.0], (len(known), 1))
    # The price list is the model, and needs no fitting.
    nothing = np.zeros((len(known), 2))
    ahead = Predicted(nothing, np.ones_like(nothing), np.ones(len(known), dtype=np.bool_))
    # Not stabilised: long requests cost more than their list price foresees and are drawn by other shares, so draws
    # weighed by their precision would be about short ones.
    found = doubly_robust(logged, only_baseline, replace(options or Options(), stabilised=False), ahead=ahead)
    if found.value is None or found.error is None:
        return None, found
    n, more = len(known), Estimate(found.value, found.error, found.ess - 1.0)

    def residual(ratio: float) -> Estimate:
        own = total_of(known, (1.0 - ratio) * foreseen - paid)
        return combined([own, scaled(more, n)], [1.0, 1.0 - ratio])

    baseline = float(foreseen.sum()) + n * found.value
    method = _OFF_POLICY.format(ess=found.ess)
    return Part("off-policy", method, n, len(calls) - n, baseline, float(paid.sum()), residual), found


_EXPERIMENT = (
    "experiment: mean cost of the held-out calls, which the incumbent served by lot, each weighed by the odds of its "
    "lot, less the mean cost of the others, per use case, times the number of the others; both are compared after "
    "taking off what the baseline's price list foresees for each call's own input, which makes the limits narrower "
    "and is not relied on"
)
_OFF_POLICY = (
    "off-policy estimate: what the baseline would have cost on all calls, from those for which it was drawn, by their "
    "propensities (doubly robust, worth {ess:,.0f} calls of the baseline); its price list for each call's own input "
    "makes the limits narrower and is not relied on"
)


def _odds_of_rest(call: ServedCall) -> float:
    """Return how many optimised calls a held-out one stands for; 1 where every call had the same chance."""
    if call.draw is None:
        return 1.0
    return (1.0 - call.draw.held_share) / call.draw.held_share


def _foreseen_usd(known: Sequence[ServedCall]) -> FloatArray:
    """Return the baseline's price for every call's own input and a mean output; 0 for all where that is unknown.

    The output is the mean over whoever served, so that it does not hang on who was drawn.
    """
    outputs = [call.output_tokens for call in known if call.output_tokens is not None]
    mean = sum(outputs) / len(outputs) if outputs else None
    found = [call.baseline_usd(mean) for call in known]
    return np.zeros(len(known)) if None in found else np.array(found, dtype=np.float64)


def _logged(calls: Sequence[ServedCall], reward: FloatArray) -> LoggedCalls:
    draws = [call.draw for call in calls if call.draw is not None]
    share = np.array([draw.baseline_share for draw in draws])
    arm = np.array([0 if draw.baseline else 1 for draw in draws], dtype=np.intp)
    propensity = np.where(arm == 0, share, 1.0 - share)
    names = {unit: number for number, unit in enumerate(dict.fromkeys(units(calls)))}
    return LoggedCalls(
        arm=arm,
        propensity=np.where([draw.first for draw in draws], propensity, np.nan),
        reward=reward,
        context=np.zeros(len(calls), dtype=np.intp),
        unit=np.array([names[unit] for unit in units(calls)], dtype=np.intp),
        time_s=np.array([draw.at_s for draw in draws]),
        distribution=np.column_stack([share, 1.0 - share]),
    )


def saved(calls: Iterable[ServedCall], options: Options | None = None) -> Saving:
    """Return what calls saved against their baselines; the one definition that every report uses.

    In a use case whose incumbent is the baseline and where a holdout ran, the held-out calls are the measure. Else,
    where the baseline was drawn often enough, it is its draws, by their propensities. What is left, such as pins, the
    warm-up and use cases whose baseline nobody asked, is priced; what the baseline served itself saved nothing.

    Parameters
    ----------
    options : Options, optional
        Of the off-policy estimate.
    """
    parts: list[Part] = []
    rest: list[ServedCall] = []
    by_use_case: dict[str, list[ServedCall]] = defaultdict(list)
    for call in calls:
        by_use_case[call.use_case].append(call)
    for group in by_use_case.values():
        found, left = _measured(group, options)
        parts += found
        rest += left
    if rest or not parts:
        parts.append(priced(rest))
    return sum_of(parts)


def _measured(calls: Sequence[ServedCall], options: Options | None) -> tuple[list[Part], list[ServedCall]]:
    """Return what can be measured of one use case, and the calls that are left to be priced."""
    part = experiment_part([call for call in calls if _in_experiment(call)])
    if part is not None:
        return [part], [call for call in calls if call.held_out or not _in_experiment(call)]
    drawn, others = _whole_sessions(calls)
    if any(call.draw is not None and call.draw.baseline_share < 1.0 for call in drawn):
        part, _ = off_policy(drawn, options)
    return ([], list(calls)) if part is None else ([part], others)


def _whole_sessions(calls: Sequence[ServedCall]) -> tuple[list[ServedCall], list[ServedCall]]:
    """Return the calls of known cost whose draw might have been the baseline, and is among them; and all others."""
    drawn: list[ServedCall] = []
    others: list[ServedCall] = []
    begun: set[str] = set()
    for call in calls:
        usable = call.draw is not None and call.priced and call.draw.baseline_share > 0.0
        if usable and call.session_id is not None and call.draw is not None and call.draw.first:
            begun.add(call.session_id)
        (drawn if usable and (call.session_id is None or call.session_id in begun) else others).append(call)
    return drawn, others


def _in_experiment(call: ServedCall) -> bool:
    draw = call.draw
    return draw is not None and 0.0 < draw.held_share < 1.0 and draw.incumbent == call.baseline


class Lots:
    """Finds the draw that settled each call; told of all calls in order of time, since sessions stay with theirs."""

    def __init__(self, draws: Mapping[str, Drawn]) -> None:
        self._draws = draws
        self._of_session: dict[tuple[str, str], Draw] = {}

    def of(self, outcome: Outcome, baseline: str) -> Draw | None:
        """Return the call's draw; None where something else than a draw settled who served, or it is not known."""
        session = None if outcome.session_id is None else (outcome.use_case, outcome.session_id)
        if outcome.overridden_by == "session" and session is not None:
            found = self._of_session.get(session)
            return found and replace(found, first=False, at_s=outcome.decided_at.timestamp())
        drawn = self._draws.get(outcome.digest)
        if outcome.overridden_by is not None or outcome.propensity is None or drawn is None:
            return None
        found = Draw(
            True,
            outcome.drawn_model_id == baseline,
            drawn.shares.get(baseline, 0.0),
            outcome.held_out,
            drawn.held_share,
            drawn.incumbent,
            outcome.decided_at.timestamp(),
        )
        if session is not None:
            self._of_session[session] = found
        return found


def _served(outcome: Outcome, baseline: str, price: Price, draw: Draw | None) -> ServedCall:
    return ServedCall(
        outcome.use_case,
        outcome.model_id,
        baseline,
        price,
        outcome.input_tokens,
        outcome.output_tokens,
        outcome.paid_usd,
        outcome.cached_tokens or 0,
        outcome.session_id,
        outcome.held_out if draw is None else draw.held_out,
        draw,
    )


def calls_of(
    outcomes: Iterable[Outcome], prices: BaselinePrices, draws: Mapping[str, Drawn]
) -> dict[str, list[ServedCall]]:
    """Return use case → its served calls, in order of time."""
    found: dict[str, list[ServedCall]] = defaultdict(list)
    lots = Lots(draws)
    for outcome in outcomes:
        baseline = prices.of_use_case.get(outcome.use_case)
        if baseline is not None:
            price = prices.price(baseline, outcome.decided_at)
            found[outcome.use_case].append(_served(outcome, baseline, price, lots.of(outcome, baseline)))
    return found


def in_columns(calls: Iterable[ServedCall]) -> list[ServedCalls]:
    """Return the same calls as arrays, by use case."""
    groups: dict[str, list[ServedCall]] = defaultdict(list)
    models: dict[str, int] = {}
    sessions: dict[str | None, int] = {None: -1}
    for call in calls:
        groups[call.use_case].append(call)
        for name in (call.model_id, call.baseline):
            models.setdefault(name, len(models))
        sessions.setdefault(call.session_id, len(sessions) - 1)
    return [_group(group, models, sessions) for group in groups.values()]


def _group(calls: Sequence[ServedCall], models: Mapping[str, int], sessions: Mapping[str | None, int]) -> ServedCalls:
    nobody = Draw(False, baseline=False, baseline_share=0.0, held_out=False, held_share=0.0, incumbent="", at_s=0.0)
    draws = [call.draw or nobody for call in calls]
    priced = [replace(call, output_tokens=0) for call in calls]
    return ServedCalls(
        calls[0].use_case,
        calls[0].baseline,
        models[calls[0].baseline],
        np.array([models[call.model_id] for call in calls]),
        _floats(call.paid_usd for call in calls),
        _floats(call.output_tokens for call in calls),
        _floats(call.baseline_usd(0.0) for call in priced),
        _floats(call.baseline_price.per_token(call.input_tokens or 0)[2] for call in calls),
        np.array([sessions[call.session_id] for call in calls]),
        Draws(
            np.array([call.draw is not None for call in calls]),
            np.array([draw.first for draw in draws]),
            np.array([draw.baseline for draw in draws]),
            np.array([draw.baseline_share for draw in draws]),
            np.array([call.held_out for call in calls]),
            np.array([draw.held_share for draw in draws]),
            np.array([draw.incumbent == call.baseline for draw, call in zip(draws, calls, strict=True)]),
            np.array([draw.at_s for draw in draws]),
        ),
    )


def _floats(values: Iterable[float | None]) -> FloatArray:
    return np.array(list(values), dtype=np.float64)
