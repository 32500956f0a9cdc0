"""Small facts for a ledger: what a test does not care about is filled in."""

from datetime import UTC, datetime, timedelta

from optimizer.decision.evidence import Sums
from optimizer.domain import Attempt, Candidate, Feedback, Request, RewardRule, Usage
from optimizer.selection import Decision, Selection, Standing

NOON = datetime(2026, 3, 2, 12, 5, tzinfo=UTC)
MODELS = ("small", "large")
RULE = RewardRule("quality", gates=("valid",))


def rule_of(use_case: str) -> RewardRule:
    return RULE


def make_decision(use_case: str = "chat", segment: str = "", models: tuple[str, ...] = MODELS) -> Decision:
    share = 1.0 / len(models)
    standings = tuple(Standing(Candidate(model_id=model), steps=(("votes", share),)) for model in models)
    shut = Standing(Candidate(model_id="shut"), exclusion="its window is too short")
    return Decision(
        use_case=use_case,
        segment=segment,
        objective="average:97%",
        required_quality=None,
        standings=(*standings, shut),
        incumbent=models[-1],
        price=12.5,
        exploration=0.02,
        policy_version="policy",
        price_version="prices",
    )


DECISION = make_decision()


def make_selection(
    call_id: str,
    *,
    decision: Decision = DECISION,
    model_id: str = "small",
    at: datetime = NOON,
    request: Request | None = None,
) -> Selection:
    return Selection(
        call_id=call_id,
        decided_at=at,
        request=request or Request(use_case=decision.use_case, context_tokens=1200),
        decision=decision,
        model_id=model_id,
        drawn_model_id=model_id,
        propensity=decision.distribution[model_id],
    )


def make_attempt(call_id: str, *, number: int = 0, model_id: str = "small", failed: bool = False) -> Attempt:
    return Attempt(
        call_id,
        model_id,
        "portkey",
        NOON + timedelta(seconds=2),
        number=number,
        served=not failed,
        status=504 if failed else 200,
        error_kind="timeout" if failed else None,
        latency_ms=None if failed else 812.5,
        ttft_ms=None if failed else 95.0,
        usage=None if failed else Usage(input_tokens=1200, cached_tokens=200, output_tokens=300),
        cost_nano_usd=None if failed else 360_000,
        cost_source="unknown" if failed else "priced",
    )


def make_rating(
    call_id: str, value: float | None = 0.8, *, metric: str = "quality", rater: str = "ann", minute: float = 10
) -> Feedback:
    return Feedback(call_id, metric, rater, value, NOON + timedelta(minutes=minute))


CALLS_OF_1200_TOKENS = "calls:20"  # 2·log₂ 1201 = 20.46
CALL = Sums(1, 1200, 1200**2)  # what one call of the factory adds to it
