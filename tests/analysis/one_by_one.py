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
from optimizer.analysis.saved_calls import Part, Saving, sum_of
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
    thought_tokens: int = 0  # of the output, what the baseline would not have written

    @property
    def answer_tokens(self) -> int | None:
        return None if self.output_tokens is None else self.output_tokens - self.thought_tokens

    def baseline_usd(self, output_tokens: float | None) -> float | None:
        """Return what the baseline would have charged for an output of this length; None where that is unknown."""
        if self.input_tokens is None or self.output_tokens is None or output_tokens is None:
            return None
        return self.baseline_price.cost_usd(self.input_tokens, output_tokens, self.cached_tokens)

    @property
    def priced(self) -> bool:
        """Whether both what was paid and what the baseline would charge are known."""
        return self.paid_usd is not None and self.baseline_usd(0.0) is not None


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


def priced(calls: Sequence[ServedCall], *, min_served: int = MIN_SERVED, spread: float = SPREAD) -> Part:
    known = [call for call in calls if call.priced]
    lengths = _own_lengths(known, min_served)
    baseline = math.fsum(_would_usd(call, lengths) for call in known)
    doubts = [*_measured_doubts(known, lengths), *_assumed_doubts(known, lengths, min_served, spread)]
    doubt = combined(doubts, [1.0] * len(doubts))
    freedom = doubt.freedom if doubt.error else math.inf
    n_unknown, paid = len(calls) - len(known), math.fsum(dollars(known))
    return Part("priced", _method(known, lengths), len(known), n_unknown, baseline, paid, doubt.error, freedom)


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
        text += f", plus the answer of the model that served, for want of enough own calls ({', '.join(borrowed)})"
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
    length = lengths.get((call.use_case, call.baseline), (call.answer_tokens, 0))[0]
    return call.baseline_usd(length) or 0.0


def _measured_doubts(known: Sequence[ServedCall], lengths: Lengths) -> list[Estimate]:
    found = []
    for use_case, baseline in lengths:
        mine = [call for call in known if call.use_case == use_case]
        own = [call for call in mine if call.model_id == baseline]
        others = [call for call in mine if call.model_id != baseline]
        if others:
            tokens = [float(call.output_tokens or 0) for call in own]
            mean = mean_estimate(tokens, units(own))
            each = float(np.std(tokens)) * _root_of_squares(others, [_usd_per_token(call) for call in others])
            found.append(Estimate(0.0, math.hypot(mean.error * sum(map(_usd_per_token, others)), each), mean.freedom))
    return found


def _assumed_doubts(known: Sequence[ServedCall], lengths: Lengths, min_served: int, spread: float) -> list[Estimate]:
    found, by_baseline = [], defaultdict(list)
    for use_case, baseline in dict.fromkeys((call.use_case, call.baseline) for call in known):
        mine = [call for call in known if call.use_case == use_case]
        others = [call for call in mine if call.model_id != baseline]
        if spread > 0.0 and others and (use_case, baseline) not in lengths:
            usd = [_usd_per_token(call) * (call.answer_tokens or 0) for call in others]
            apart, freedom = _spread(mine, min_served, spread)
            found.append(Estimate(0.0, 0.5 * _root_of_squares(others, usd), freedom))
            by_baseline[baseline].append((apart * sum(usd), freedom))
    doubts = [Estimate(0.0, sum(usd for usd, _ in each), min(n for _, n in each)) for each in by_baseline.values()]
    return found + doubts


def _root_of_squares(calls: Sequence[ServedCall], values: Sequence[float]) -> float:
    sums: dict[Hashable, float] = defaultdict(float)
    for unit, value in zip(units(calls), values, strict=True):
        sums[unit] += value
    return math.sqrt(sum(value**2 for value in sums.values()))


def _usd_per_token(call: ServedCall) -> float:
    return call.baseline_price.per_token(call.input_tokens or 0)[2] or 0.0


def _spread(calls: Sequence[ServedCall], min_served: int, spread: float) -> tuple[float, float]:
    answers: dict[str, list[int]] = defaultdict(list)
    for call in calls:
        answers[call.model_id].append(call.answer_tokens or 0)
    means = [math.log(max(sum(n) / len(n), 1.0)) for n in answers.values() if len(n) >= min_served]
    square = len(means) * float(np.var(means)) if len(means) > 1 else 0.0
    freedom = _SPREAD_WEIGHT + max(len(means) - 1, 0)
    return math.sqrt((_SPREAD_WEIGHT * spread**2 + square) / freedom), freedom


MIN_HELD_OUT = 20  # sessions, or calls without one, on either side of an experiment


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
    error = n * more.error * math.sqrt(1.0 + len(set(units(held_calls))) / len(set(units(rest))))
    baseline = float(foreseen[~held].sum()) + n * more.value
    by_unit: dict[Hashable, float] = defaultdict(float)
    for unit, value in zip(units(held_calls), missed - more.value * odds, strict=True):
        by_unit[unit] += value
    square, fourth = (sum(value**power for value in by_unit.values()) for power in (2, 4))
    freedom = max(2.0 * square**2 / fourth - 1.0, 1.0) if fourth > 0.0 else math.inf
    n_unknown = len(calls) - len(known)
    return Part("experiment", _EXPERIMENT, n, n_unknown, baseline, float(paid.sum()), error, min(freedom, more.freedom))


def off_policy(calls: Sequence[ServedCall], options: Options | None = None) -> tuple[Part | None, Judged]:
    """Return one use case's saving over drawn calls, where the baseline could be drawn too, and the estimate behind it.

    The part is None where the estimate is refused, which says why. Calls must be in order of time, and sessions begin
    with their draw.
    """
    known = [call for call in calls if call.paid_usd is not None]
    foreseen, paid = _foreseen_usd(known), dollars(known)
    logged = _logged(known, paid - foreseen)
    only_baseline = np.tile([1.0, 0.0], (len(known), 1))
    short = _short_until(logged)
    ahead = Predicted(
        np.column_stack([short, np.zeros(len(known))]), np.ones((len(known), 2)), np.ones(len(known), dtype=np.bool_)
    )
    found = doubly_robust(logged, only_baseline, replace(options or Options(), stabilised=False), ahead=ahead)
    if found.value is None:
        return None, found
    missed: dict[int, float] = defaultdict(float)
    for at, reward, foreseen_by_then in zip(logged.draw.tolist(), logged.reward, short, strict=True):
        missed[at] += reward - foreseen_by_then
    draws = [i for i in missed if logged.drawn[i] and logged.arm[i] == 0]
    parts = [(1.0 - logged.propensity[i]) / logged.propensity[i] ** 2 * missed[i] ** 2 for i in draws]
    square, fourth, n = sum(parts), sum(part**2 for part in parts), len(known)
    freedom = max(2.0 * square**2 / fourth - 1.0, 1.0) if fourth > 0.0 else math.inf
    baseline = float(foreseen.sum()) + n * found.value
    method = _OFF_POLICY.format(ess=found.ess)
    part = Part("off-policy", method, n, len(calls) - n, baseline, float(paid.sum()), math.sqrt(square), freedom)
    return part, found


def _short_until(logged: LoggedCalls) -> FloatArray:
    total = weights = 0.0
    before = []
    for i in range(logged.n_calls):
        before.append(total / weights if weights else 0.0)
        if logged.drawn[i] and logged.arm[i] == 0:
            total += logged.reward[i] / logged.propensity[i]
            weights += 1.0 / logged.propensity[i]
    return np.array([before[at] for at in logged.draw])


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
    outputs = [call.answer_tokens for call in known if call.answer_tokens is not None]
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


def _served(outcome: Outcome, baseline: str, prices: BaselinePrices, draw: Draw | None) -> ServedCall:
    price = prices.price(baseline, outcome.decided_at)
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
        0 if prices.thinks(baseline) else outcome.reasoning_tokens or 0,
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
            found[outcome.use_case].append(_served(outcome, baseline, prices, lots.of(outcome, baseline)))
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
        _floats(call.answer_tokens for call in calls),
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
