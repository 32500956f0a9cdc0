"""Orchestra Optimizer: the cheapest language model that is good enough, call by call."""

from optimizer.domain import Attempt, Candidate, Feedback, Objective, Request, Usage
from optimizer.engine import Optimizer
from optimizer.engine.default import select_optimal_model
from optimizer.errors import OptimizerError
from optimizer.router import Reply, ReplyStream, Router, SyncRouter
from optimizer.selection import Decision, Selection

__all__ = [
    "Attempt",
    "Candidate",
    "Decision",
    "Feedback",
    "Objective",
    "Optimizer",
    "OptimizerError",
    "Reply",
    "ReplyStream",
    "Request",
    "Router",
    "Selection",
    "SyncRouter",
    "Usage",
    "select_optimal_model",
]
