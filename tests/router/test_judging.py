"""Ratings without people: checks that are free, and judges."""

from optimizer.engine import Optimizer
from optimizer.ledger.calls import StoredCall
from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import ModelScript, Trouble
from tests.engine.factory import DEAR, MIDDLE, pool
from tests.router.calls import calls_of, complete
from tests.router.conftest import Opened

JUDGE = "judge: {model: gpt-4o, sample: 1.0, rubric: Is it polite}"
JUDGED = pool(f"objective: quality, {JUDGE}", "routing: {cost_limits: {daily_usd: 1}}")


def of_use_case(opt: Optimizer, name: str) -> list[StoredCall]:
    return [call for call in calls_of(opt) if call.selection.use_case == name]


def ratings(call: StoredCall) -> dict[tuple[str, str], float | None]:
    return {(rating.metric, rating.rater): rating.value for rating in call.feedback}


def test_a_judge_rates_through_the_same_router_and_is_shown_apart(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(models={DEAR: ModelScript(answer='{"reason": "polite", "score": 8}')}))
    opt = opened(JUDGED)
    reply = complete(opt, model=MIDDLE)
    (judged,), (judging,) = of_use_case(opt, "chat"), of_use_case(opt, "judge")
    assert ratings(judged) == {("quality", f"judge:{DEAR}"): 0.8}
    assert judging.selection.model_id == DEAR
    assert dict(judging.selection.request.tags)["judges"] == reply.call_id
    costs = [attempt.cost_nano_usd or 0 for call in (judged, judging) for attempt in call.attempts]
    (status,) = opt.purse.status()
    assert status.spent_nano_usd == sum(costs)  # a judge counts against the limits, too
    assert all(costs)


def test_a_judge_teaches_like_any_rater_and_its_own_calls_teach_the_use_case_nothing(
    opened: Opened, fake: FakeServer
) -> None:
    fake.play(Script(models={DEAR: ModelScript(answer='{"reason": "polite", "score": 10}')}))
    opt = opened(JUDGED)
    complete(opt, model=MIDDLE)
    opt.refresh(flush=True)
    facts = opt.snapshot.facts(opt.routes["chat"], opt.snapshot.context("chat", ""))
    assert 0.99 < facts.n_ratings <= 1.0
    assert [known.n_ratings > 0 for known in facts.known] == [c.model_id == MIDDLE for c in facts.candidates]


def test_a_judge_never_judges_itself(opened: Opened, fake: FakeServer) -> None:
    opt = opened(JUDGED)
    complete(opt, model=DEAR)
    assert of_use_case(opt, "judge") == []
    assert fake.n_requests == 1


def test_a_verdict_that_cannot_be_read_is_no_rating(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(models={DEAR: ModelScript(answer="I would rather not say.")}))
    opt = opened(JUDGED)
    complete(opt, model=MIDDLE)
    assert ratings(of_use_case(opt, "chat")[0]) == {}
    assert len(of_use_case(opt, "judge")) == 1


def test_a_judge_that_fails_leaves_the_reply_alone(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(models={DEAR: ModelScript(troubles=(Trouble(fault="bad_request"),))}))
    opt = opened(JUDGED)
    assert complete(opt, model=MIDDLE).content
    assert ratings(of_use_case(opt, "chat")[0]) == {}


def test_a_check_that_is_named_is_kept_whatever_it_says(opened: Opened) -> None:
    opt = opened(pool("objective: quality, metrics: {others: [not_truncated], gates: [not_empty]}"))
    complete(opt)
    assert ratings(calls_of(opt)[0]) == {("not_truncated", "check"): 1.0, ("not_empty", "check"): 1.0}


def test_of_other_checks_what_went_wrong_is_kept(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="cut_short"),)))
    opt = opened(pool("objective: quality"))
    complete(opt)
    assert ratings(calls_of(opt)[0]) == {("not_truncated", "check"): 0.0}


def test_a_check_can_be_the_quality(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="invalid_json"),)))
    opt = opened(pool("objective: quality, metrics: {quality: valid_json}"))
    complete(opt, model=DEAR, response_format={"type": "json_object"})
    opt.refresh(flush=True)
    facts = opt.snapshot.facts(opt.routes["chat"], opt.snapshot.context("chat", ""))
    assert 0.99 < facts.n_ratings <= 1.0
