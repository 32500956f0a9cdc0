"""One call under way: what is sent, who was chosen, what was tried until now."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optimizer.calling.redaction import Restoration
from optimizer.calling.token_features import FloatArray
from optimizer.calling.tokenizers import estimate_request
from optimizer.calling.tokens import Estimate, TokenEstimator
from optimizer.domain import Attempt, Candidate, Gateway
from optimizer.errors import GatewayError, LimitReached
from optimizer.router.asking import Asked
from optimizer.router.course import Course
from optimizer.selection import Selection
from optimizer.settings import Settings


@dataclass
class Call:
    """One call, from its choice to its reply.

    Attributes
    ----------
    settings : Settings
        Those in force when it began: it ends by them.
    body : mapping
        What is sent: the caller's, with personal data masked where the settings ask for it.
    restoration : Restoration or None
        Puts back what was masked.
    features : ndarray
        What the number of its tokens is estimated from.
    spends_for : str
        The use case whose limits it counts against.
    started : float
        By the router's timer.
    deadline : float
        By the event loop's clock.
    skipped : dict
        Model → why it was not even asked.
    streamed : bool
    fallbacks : tuple of Candidate
    stand_ins : dict
        A gateway's own name → the fallback that it may put in by itself.
    """

    asked: Asked
    settings: Settings = field(repr=False)
    selection: Selection
    course: Course
    body: Mapping[str, Any] = field(repr=False)
    restoration: Restoration | None
    features: FloatArray = field(repr=False)
    spends_for: str
    deadline_s: float
    started: float
    fallbacks: tuple[Candidate, ...] = ()
    streamed: bool = False
    stand_ins: dict[str, Candidate] = field(default_factory=dict)
    deadline: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    errors: list[GatewayError] = field(default_factory=list)
    tried: set[tuple[Gateway, str]] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)
    limit: LimitReached | None = None
    kept: bool = False
    forced: bool = False  # whether breakers are passed over, since they would keep everybody away
    n_attempts: int = 0

    def __post_init__(self) -> None:
        self.deadline = asyncio.get_running_loop().time() + self.deadline_s

    @property
    def call_id(self) -> str:
        """Name of the call."""
        return self.selection.call_id

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - asyncio.get_running_loop().time()

    def estimate(self, estimator: TokenEstimator, model_id: str) -> Estimate:
        """Return how many tokens a model will count in the prompt: what the caller knows, else as estimated.

        What it is at most stays at least the estimate: nobody gets past a limit by saying that a prompt is short.
        """
        found, known = estimate_request(estimator, model_id, self.body, self.features), self.asked.hints.context_tokens
        return found if known is None else Estimate(known, max(known, found.high))

    def max_tokens(self, candidate: Candidate, input_tokens_high: int) -> int | None:
        """Return the completion tokens to ask for: as wished, as far as the model can and its window has room."""
        wished = self.asked.max_tokens or self.selection.max_tokens
        window = candidate.context_window_tokens
        room = None if window is None else max(window - input_tokens_high, 1)
        limits = [limit for limit in (wished, wished and candidate.max_output_tokens, wished and room) if limit]
        return min(limits, default=None)
