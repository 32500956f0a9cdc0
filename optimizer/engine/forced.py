"""A call that nobody could be drawn for, and that a pin or a rule sends to a model which can serve it all the same."""

from optimizer.decision.eligibility import Limits, exclusions
from optimizer.domain import Candidate, Objective, Request
from optimizer.engine.learning import View
from optimizer.errors import NoEligibleCandidate
from optimizer.routes import Route
from optimizer.selection import Decision, Standing


def can_serve(candidate: Candidate, request: Request) -> bool:
    """Return whether a model's window and abilities suffice; its price is the business of whoever asked for it."""
    plain = request.model_copy(update={"max_cost_usd": None})
    return not exclusions(plain, (candidate,), {}, Limits(needs_cost=False))


def undrawn(view: View, route: Route, request: Request, refused: NoEligibleCandidate) -> Decision:
    """Return the decision that says of every candidate why it was not eligible, and gives nobody a chance."""
    versions, settings, quality = view.versions[route.name], route.settings, request.required_quality
    asked = request.objective or route.objective
    return Decision(
        use_case=route.name,
        segment=view.segmenters.segment_of(route.name, request.features),
        objective=str(asked if quality is None else Objective.floor(quality)),
        required_quality=None if quality is None else str(quality),
        standings=tuple(Standing(c, refused.reasons.get(c.model_id, "not eligible")) for c in route.candidates),
        incumbent=route.incumbent,
        policy_version=versions.policy,
        price_version=view.routes.price_version,
        segmenter_version=versions.segmenter,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        fallback_models=tuple(candidate.model_id for candidate in route.fallbacks),
    )
