"""Small decisions and selections of which a test knows every number."""

from datetime import UTC, datetime

from optimizer.domain import Candidate, Gateway, Price, Request
from optimizer.selection import Decision, Selection, Standing

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PRICE = Price(1.0, 4.0)  # dollars per million tokens


def candidate(model_id: str, gateway: Gateway = "portkey", price: Price = PRICE, **more: object) -> Candidate:
    return Candidate(model_id=model_id, gateway=gateway, price=price, **more)


def selection(
    shares: dict[str, float], chosen: str, *, why: str | None = None, costs: dict[str, float] | None = None
) -> Selection:
    """Return the selection of a model from a distribution, with expected costs where they are given."""
    standings = tuple(
        Standing(candidate(model), steps=(("votes", share),), expected_cost_usd=(costs or {}).get(model))
        for model, share in shares.items()
    )
    decision = Decision(
        use_case="chat",
        segment="",
        objective="quality",
        required_quality=None,
        standings=standings,
        incumbent=chosen,
    )
    request = Request(use_case="chat", context_tokens=10)
    return Selection("call", NOON, request, decision, chosen, chosen, shares.get(chosen), overridden_by=why)
