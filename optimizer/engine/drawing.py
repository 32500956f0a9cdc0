"""One draw from a decision, exactly as likely as it says, and what may override it."""

import hashlib
import hmac
import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from optimizer.selection import Decision

_SESSION_KEY = b"orchestra-optimizer session"


@dataclass(frozen=True, slots=True)
class Lottery:
    """A decision laid out on the unit interval: first the holdout, then every candidate's share.

    The holdout's part is taken out of the incumbent's share, so a model's propensity is its whole share.
    """

    decision: Decision
    models: tuple[str, ...]
    edges: tuple[float, ...]
    shortest: float = 0.0
    longest: float = math.inf

    @classmethod
    def of(cls, decision: Decision, context_tokens: int) -> "Lottery":
        """Return the lottery of a decision made for a request of some length.

        Candidates leave one by one as requests grow past their windows, so the decision holds for all lengths between
        the window that was too short and the one that was not.
        """
        held = (1.0 - decision.exploration) * decision.holdout
        shares = decision.distribution
        widths = [held] + [share - (held if model == decision.incumbent else 0.0) for model, share in shares.items()]
        edges = tuple(accumulate(max(width, 0.0) for width in widths))
        windows = [(s.candidate.context_window_tokens or math.inf, s.exclusion) for s in decision.standings]
        spare = decision.output_tokens
        shortest = max((w - spare for w, excluded in windows if excluded and w - spare < context_tokens), default=0.0)
        longest = min((w - spare for w, _ in windows if w - spare >= context_tokens), default=math.inf)
        return cls(decision, (decision.incumbent, *shares), edges, shortest, longest)

    def fits(self, context_tokens: int) -> bool:
        """Return whether a request of this length leaves out the same windows."""
        return self.shortest <= context_tokens <= self.longest

    def draw(self, uniform: float) -> tuple[str, bool]:
        """Return (model, whether it was held out) for a uniform number in [0, 1)."""
        position = bisect_right(self.edges, uniform * self.edges[-1])
        return self.models[position], position == 0


def session_uniform(use_case: str, session_id: str) -> float:
    """Return the session's own number in [0, 1), the same on every worker."""
    digest = hmac.digest(_SESSION_KEY, f"{use_case}\x1f{session_id}".encode(), hashlib.sha256)
    return int.from_bytes(digest[:7]) / 2.0**56
