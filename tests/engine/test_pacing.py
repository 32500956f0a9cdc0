"""Limits shape the choice: spend is paced over a day under an injected clock, floors sink, and windows turn."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from optimizer.decision.limits import EVERYTHING, Scope
from optimizer.decision.pacing import LimitUse
from optimizer.domain import NANO_USD
from optimizer.engine import Optimizer
from optimizer.engine.pacing import limit_uses
from optimizer.ledger.limits import LimitStatus
from optimizer.selection import Selection
from tests.engine.conftest import Open
from tests.engine.factory import CHEAP, DEAR, MIDDLE, NOON, USAGE, Clock, pool

DEAR_USD = 0.0045  # 1,000 tokens at $2.50 and 200 at $10 a million
CALLS_A_DAY = 240


class Meter:
    """A day's limit and what was spent of it, as a ledger would count it."""

    def __init__(self, clock: Clock, limit_usd: float, *, use_case: str | None = None) -> None:
        self.limit_usd, self.spent_usd = limit_usd, 0.0
        self._clock, self._use_case = clock, use_case
        self._day = clock.now.date()

    def __call__(self) -> list[LimitUse]:
        start = self._clock.now.replace(hour=0, minute=0, second=0, microsecond=0)
        if start.date() != self._day:
            self._day, self.spent_usd = start.date(), 0.0
        ends = start + timedelta(days=1)
        return [LimitUse("day", self.limit_usd, self.spent_usd, 0.0, start, ends, self._use_case)]


def known(opened: Open, clock: Clock, more: str) -> Optimizer:
    """Return an optimizer that has learned for a day: the dear model is very good, the cheap one middling."""
    opt = opened(pool(more))
    clock.now = clock.now.replace(hour=0)
    for _ in range(CALLS_A_DAY // 3):
        for model, value in ((DEAR, 0.95), (MIDDLE, 0.5), (CHEAP, 0.7)):
            selection = opt.select_optimal_model("chat", 1000, model=model)
            opt.record(selection, usage=USAGE)
            opt.rate(selection.call_id, value)
            clock.forward(days=1 / CALLS_A_DAY)
    clock.now = NOON.replace(hour=0) + timedelta(days=1)
    opt.refresh(flush=True)
    return opt


def calls(opt: Optimizer, clock: Clock, meter: Meter, n_calls: int) -> Iterator[Selection]:
    """Make calls, evenly spread at 240 a day, and refresh before each fifth."""
    for number in range(n_calls):
        if number % 5 == 0:
            opt.refresh(flush=True)
        selection = opt.select_optimal_model("chat", 1000)
        made = opt.record(selection, usage=USAGE)
        meter.spent_usd += (made.cost_nano_usd or 0) / NANO_USD
        yield selection
        clock.forward(days=1 / CALLS_A_DAY)


@pytest.mark.parametrize("objective", ["quality", "average:97%", "value:0.05"])
def test_spend_is_paced_to_the_limit(opened: Open, clock: Clock, objective: str) -> None:
    """By itself the objective would spend about 240 · $0.0045 = $1.08; a limit of $0.50 is met, and not too soon."""
    opt = known(opened, clock, f"objective: '{objective}'")
    meter = Meter(clock, 0.50)
    opt.pace_by(meter)
    spent = [meter.spent_usd for _ in calls(opt, clock, meter, CALLS_A_DAY)]
    assert spent[-1] == pytest.approx(0.50, rel=0.04)
    assert spent[CALLS_A_DAY // 2] == pytest.approx(0.25, rel=0.25)


def test_a_choice_that_is_held_says_so(opened: Open, clock: Clock) -> None:
    opt = known(opened, clock, "objective: quality")
    meter = Meter(clock, 0.50)
    opt.pace_by(meter)
    *_, last = calls(opt, clock, meter, 12)
    assert last.decision.lowered
    assert last.decision.headline.startswith("held to $0.00")
    assert "by the daily limit" in last.explain()
    assert "A limit of spending leaves less than was asked" in last.explain()
    assert last.to_dict()["lowered"] is True


def test_a_limit_that_is_far_away_changes_nothing(opened: Open, clock: Clock) -> None:
    opt = known(opened, clock, "")
    before = opt.select_optimal_model("chat", 1000).decision
    meter = Meter(clock, 1e3)
    opt.pace_by(meter)
    *_, last = calls(opt, clock, meter, 1)
    assert last.decision == before


def test_without_a_forecast_nobody_is_held(opened: Open, clock: Clock) -> None:
    opt = opened(pool("objective: quality"))
    opt.pace_by(Meter(clock, 1e-6))
    assert not opt.snapshot.targets
    assert not opt.select_optimal_model("chat", 1000).decision.lowered


def test_choices_recover_when_the_window_turns(opened: Open, clock: Clock) -> None:
    """All is spent before the evening, so the cheapest serves; from midnight on the new day's money does."""
    opt = known(opened, clock, "objective: quality, exploration: 0")
    *_, first = calls(opt, clock, Meter(clock, 10.0), 60)
    clock.now = clock.now.replace(hour=23, minute=55)
    meter = Meter(clock, 10.0)
    meter.spent_usd = 10.0
    opt.pace_by(meter)
    late = opt.select_optimal_model("chat", 1000)
    clock.forward(minutes=5, seconds=1)
    opt.refresh()
    early = opt.select_optimal_model("chat", 1000)
    assert (late.model_id, late.decision.lowered) == (CHEAP, True)
    assert (early.decision.distribution, early.decision.lowered) == (first.decision.distribution, False)


def test_a_floor_sinks_to_quality_min_and_no_further(opened: Open, clock: Clock) -> None:
    """Only the dear model reaches .9; with little left, .65 has to do, which the cheap one reaches."""
    opt = known(opened, clock, "required_quality: 0.9, quality_min: 0.65, guard: 0, exploration: 0")
    asked = opt.select_optimal_model("chat", 1000).decision
    meter = Meter(clock, 0.05)
    opt.pace_by(meter)
    *_, held = calls(opt, clock, meter, 30)
    assert asked.distribution[DEAR] > 0.9
    assert (asked.threshold, asked.price, asked.lowered) == (0.9, None, False)
    assert held.decision.threshold == pytest.approx(0.65)
    assert held.decision.distribution[CHEAP] > 0.5
    assert held.decision.lowered
    assert held.decision.price is not None
    assert "so that a quality of 0.65 has to do" in held.decision.headline


def test_a_floor_without_quality_min_does_not_sink(opened: Open, clock: Clock) -> None:
    opt = known(opened, clock, "required_quality: 0.9, guard: 0, exploration: 0")
    asked = opt.select_optimal_model("chat", 1000).decision
    meter = Meter(clock, 0.05)
    opt.pace_by(meter)
    *_, held = calls(opt, clock, meter, 3)
    assert (held.decision.threshold, held.decision.lowered) == (asked.threshold, False)


def test_a_required_quality_is_held_like_the_objective(opened: Open, clock: Clock) -> None:
    opt = known(opened, clock, "quality_min: 0.65, guard: 0")
    opt.pace_by(Meter(clock, 0.05))
    assert opt.snapshot.targets["chat"].usd_per_call < DEAR_USD
    assert opt.select_optimal_model("chat", 1000, 0.9).decision.threshold == pytest.approx(0.65)


def test_limits_are_looked_at_every_fifteen_seconds_only(opened: Open, clock: Clock) -> None:
    opt = known(opened, clock, "")
    meter, looks = Meter(clock, 0.5), []

    def spend() -> list[LimitUse]:
        looks.append(clock.now)
        return meter()

    opt.pace_by(spend)
    for _ in range(6):
        clock.forward(seconds=5)
        opt.refresh()
    assert [(at - looks[0]).total_seconds() for at in looks] == [0.0, 15.0, 30.0]


def test_the_tightest_limit_has_the_say(opened: Open, clock: Clock) -> None:
    opt = known(opened, clock, "objective: quality")
    whole, own = Meter(clock, 0.8), Meter(clock, 0.4, use_case="chat")
    opt.pace_by(lambda: [*whole(), *own()])
    target = opt.snapshot.targets["chat"]
    assert target.limit.name == "the daily limit of chat"
    assert target.usd_per_call == pytest.approx(0.4 / 240, rel=0.01)


TWO = "use_cases: {{one: {{{0}}}, two: {{{0}}}}}".format(f"candidates: [{DEAR}, {CHEAP}], incumbent: {DEAR}")


def test_a_limit_over_everything_is_shared_by_what_each_would_spend(opened: Open, clock: Clock) -> None:
    """Forty calls each, yesterday at this time and all by the incumbent: $0.10 is left for 80 calls."""
    opt = opened(TWO)
    for use_case in ("one", "two"):
        for _ in range(40):
            opt.record(opt.select_optimal_model(use_case, 1000, model=DEAR), usage=USAGE)
    clock.forward(days=1)
    opt.refresh(flush=True)
    meter = Meter(clock, 0.10)
    whole = replace(meter()[0], ends_at=clock.now + timedelta(days=1))
    opt.pace_by(lambda: [whole])
    targets = [opt.snapshot.targets[name].usd_per_call for name in ("one", "two")]
    assert targets == [pytest.approx(0.10 / 80)] * 2


def test_the_ledger_s_limits_are_read_in_dollars_and_tenants_left_out() -> None:
    def status(scope: Scope) -> LimitStatus:
        return LimitStatus(scope, "hour", NOON, NOON + timedelta(hours=1), 2 * NANO_USD, NANO_USD // 2, NANO_USD // 4)

    found = limit_uses([status(EVERYTHING), status(Scope("use_case", "chat")), status(Scope("tenant", "acme"))])
    whole = LimitUse("hour", 2.0, 0.5, 0.25, NOON, NOON + timedelta(hours=1))
    assert found == (whole, replace(whole, use_case="chat"))
