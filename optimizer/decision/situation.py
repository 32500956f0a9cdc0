"""What is known when shares are made, and the quality that is asked for in it."""

from dataclasses import dataclass, replace

import numpy as np

from optimizer.decision.belief import Belief, BoolArray, FloatArray, IntArray
from optimizer.domain import Objective


@dataclass(frozen=True)
class Situation:
    """What is known when shares are made.

    Attributes
    ----------
    belief : Belief
        Of every context and arm.
    context : ndarray of int, shape (n_rows,)
        The context of each row: a row is a context and a length of request.
    cost : ndarray, shape (n_rows, n_arms)
        Expected dollars of a call.
    eligible : ndarray of bool, shape (n_rows, n_arms)
    incumbent : ndarray of int, shape (n_rows,)
    traffic : ndarray, shape (n_rows,)
        Share of the traffic that each row has; sums to 1.
    cells, models : tuple of str
        Names of contexts and arms; they seed the scenarios.
    theta : ndarray, shape (n_arms, n_contexts, n_scenarios), optional
        Scenarios made before; they follow from the belief and the names.
    """

    belief: Belief
    context: IntArray
    cost: FloatArray
    eligible: BoolArray
    incumbent: IntArray
    traffic: FloatArray
    cells: tuple[str, ...]
    models: tuple[str, ...]
    theta: FloatArray | None = None


def servable(situation: Situation) -> Situation:
    """Return the situation with no traffic on rows that nobody can serve: nothing can be promised for them."""
    servable = situation.eligible.any(axis=1)
    traffic = np.where(servable, situation.traffic, 0.0)
    if servable.all() or not traffic.any():
        return situation
    return replace(situation, traffic=traffic / traffic.sum())


def floor_of(situation: Situation, objective: Objective) -> FloatArray:
    """Return the quality asked for in every context: the amount, or its share of the incumbent's mean."""
    amount = objective.amount if objective.amount is not None else 0.0
    if not objective.relative:
        return np.full(len(situation.incumbent), amount)
    return np.asarray(amount * situation.belief.mean[situation.context, situation.incumbent])


def average_floor(situation: Situation, objective: Objective) -> float:
    """Return the mean quality over the traffic that `average` asks for."""
    return float(situation.traffic @ floor_of(situation, objective))
