"""What was saved, by the best method that each use case's calls allow: experiment, off-policy estimate, price list."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from optimizer.analysis.counterfactual import priced, priced_counterfactual
from optimizer.analysis.estimators import Options
from optimizer.analysis.measured import experiment, experiment_part, off_policy
from optimizer.analysis.saved_calls import Draw, Part, Saving, ServedCall, sum_of

__all__ = ["Draw", "Saving", "ServedCall", "experiment", "priced_counterfactual", "saved"]


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
