"""What was saved, by the best method that each use case's calls allow: experiment, off-policy estimate, price list."""

from collections.abc import Sequence

import numpy as np

from optimizer.analysis.counterfactual import priced, priced_counterfactual
from optimizer.analysis.estimators import Options
from optimizer.analysis.measured import experiment, experiment_part, off_policy
from optimizer.analysis.saved_calls import Part, Saving, sum_of
from optimizer.analysis.served_calls import Draws, ServedCalls
from optimizer.decision.belief import BoolArray

__all__ = ["Draws", "Measured", "Saving", "ServedCalls", "experiment", "measured", "priced_counterfactual", "saved"]

Measured = tuple[Part | None, ServedCalls]  # what can be measured of a use case, and the calls left to be priced


def saved(groups: Sequence[ServedCalls], options: Options | None = None) -> Saving:
    """Return what calls of use cases saved against their baselines; the one definition that every report uses.

    In a use case whose incumbent is the baseline and where a holdout ran, the held-out calls are the measure. Else,
    where the baseline was drawn often enough, it is its draws, by their propensities. What is left, such as pins, the
    warm-up and use cases whose baseline nobody asked, is priced; what the baseline served itself saved nothing.

    Parameters
    ----------
    options : Options, optional
        Of the off-policy estimate.
    """
    return sum_of_measured([measured(group, options) for group in groups])


def sum_of_measured(found: Sequence[Measured]) -> Saving:
    """Return the saving of use cases of which it is known what can be measured."""
    parts = [part for part, _ in found if part is not None]
    left = [rest for _, rest in found if rest.n_calls]
    return sum_of([*parts, priced(left)] if left or not parts else parts)


def measured(calls: ServedCalls, options: Options | None = None) -> Measured:
    """Return what can be measured of one use case, and the calls that are left to be priced."""
    draws = calls.draws
    in_experiment = draws.known & (draws.held_share > 0.0) & (draws.held_share < 1.0) & draws.for_baseline
    part = experiment_part(calls.take(in_experiment))
    if part is not None:
        return part, calls.take(draws.held_out | ~in_experiment)
    drawn = _whole_sessions(calls)
    if not (drawn & (draws.baseline_share < 1.0)).any():
        return None, calls
    part, _ = off_policy(calls.take(drawn), options)
    return (None, calls) if part is None else (part, calls.take(~drawn))


def _whole_sessions(calls: ServedCalls) -> BoolArray:
    """Return which calls are of known cost, might have been the baseline's by a draw, and come with that draw."""
    draws, session = calls.draws, calls.session
    usable = draws.known & calls.priced & (draws.baseline_share > 0.0)
    if calls.unit is None:
        return usable
    at = np.arange(calls.n_calls)
    begun = np.full(int(session.max()) + 2, calls.n_calls)
    heads = usable & draws.first & (session >= 0)
    np.minimum.at(begun, session[heads], at[heads])
    return np.asarray(usable & ((session < 0) | (at >= begun[session])))
