"""What estimators are asked for, beside the calls and the target."""

from dataclasses import dataclass, replace

import numpy as np

from optimizer.analysis.estimators.estimate import MIN_ESS
from optimizer.decision.belief import BoolArray, FloatArray
from optimizer.errors import InvalidRequest

MAX_OFF_SUPPORT = 0.1


@dataclass(frozen=True, eq=False)
class Options:
    """How sure, on how little, and what is known of ratings.

    Attributes
    ----------
    level : float
        Confidence, in (0, 1).
    min_ess : float
        Effective sample size below which an estimate is refused.
    max_off_support : float
        Share of the target's choices resting on the model alone above which a doubly robust estimate is refused.
    rated_chance : ndarray, shape (n_calls,), optional
        The chance that each call's reward becomes known, where that is known itself, such as a judge's sample;
        default: 1 where all rewards are known, else learned from context, arm and features, earlier calls first.
    stabilised : bool
        Whether a doubly robust estimate weighs each draw by its precision, as adaptive logs need.
    """

    level: float = 0.95
    min_ess: float = MIN_ESS
    max_off_support: float = MAX_OFF_SUPPORT
    rated_chance: FloatArray | None = None
    stabilised: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 1.0:
            raise InvalidRequest("level", "must lie between 0 and 1, such as 0.95")
        chance = self.rated_chance
        if chance is not None and not ((chance > 0.0) & (chance <= 1.0)).all():
            raise InvalidRequest("rated_chance", "must have a number in (0, 1] for every call")

    def chance_of(self, n_calls: int) -> FloatArray | None:
        """Return the known chances of `n_calls` calls."""
        if self.rated_chance is not None and np.shape(self.rated_chance) != (n_calls,):
            raise InvalidRequest("rated_chance", "must have a number in (0, 1] for every call")
        return self.rated_chance

    def take(self, calls: BoolArray) -> "Options":
        """Return the options of some of the calls."""
        return self if self.rated_chance is None else replace(self, rated_chance=self.rated_chance[calls])
