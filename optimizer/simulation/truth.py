"""What really came of a simulated day: quality as it was, not as it was rated, and what others would have cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optimizer.domain import Objective
from optimizer.simulation.demo import Played
from optimizer.simulation.world import World


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth about one use case's calls, or about all of them; None where there is nothing to tell it from.

    Attributes
    ----------
    n_unserved : int
        Calls whose retry failed, too.
    quality : float or None
        Mean true quality of the served replies, in [0, 1].
    incumbent_quality : float or None
        The same, had the incumbent answered each of these prompts at the same moment.
    floor : float or None
        The quality asked for, where the objective is `average` or `floor`.
    paid_usd, baseline_usd : float
        What the calls truly cost, and would have cost with the baseline.
    """

    n_calls: int
    n_unserved: int
    quality: float | None
    incumbent_quality: float | None
    floor: float | None
    paid_usd: float
    baseline_usd: float

    @property
    def holds(self) -> bool | None:
        """Whether true quality is at the floor or above; None where there is no floor."""
        return None if self.floor is None or self.quality is None else self.quality >= self.floor


def truth_of(world: World, played: Sequence[Played]) -> Truth:
    """Return the truth about some calls of a day; a floor is the mean of the floors of their use cases."""
    incumbents = [(call, _incumbent_quality(world, call)) for call in played]
    floors = [_floor(world, call, quality) for call, quality in incumbents if quality is not None]
    known = [floor for floor in floors if floor is not None]
    return Truth(
        len(played),
        sum(call.model_id is None for call in played),
        _mean(call.quality for call in played if call.quality is not None),
        _mean(quality for _, quality in incumbents if quality is not None),
        _mean(known) if len(known) == len(floors) else None,
        sum(call.paid_usd for call in played),
        sum(call.baseline_usd for call in played),
    )


def _incumbent_quality(world: World, call: Played) -> float | None:
    return world.answer(call.arrival, world.routes[call.arrival.use_case].incumbent).quality


def _floor(world: World, call: Played, incumbent_quality: float) -> float | None:
    objective: Objective = world.routes[call.arrival.use_case].objective
    if objective.kind not in ("floor", "average") or objective.amount is None:
        return None
    return objective.amount * incumbent_quality if objective.relative else objective.amount


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None
