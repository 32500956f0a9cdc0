"""Where the settings say how long calls are kept, they go by themselves, and what was learned stays."""

import pytest

from optimizer.engine import Optimizer
from optimizer.errors import UnknownCall
from optimizer.ledger.audit import verify
from tests.engine.conftest import Open
from tests.engine.factory import CHEAP, Clock, pool, teach


def expected_quality(opt: Optimizer) -> float | None:
    return opt.select_optimal_model("chat", 1000, model=CHEAP).expected_quality


def test_calls_go_when_they_are_too_old(opened: Open, clock: Clock) -> None:
    opt = opened(pool(rest="retention: 2d"))
    teach(opt, CHEAP, [0.9] * 12)
    old = opt.select_optimal_model("chat", 1000)
    clock.forward(days=4)
    opt.refresh(flush=True)
    with pytest.raises(UnknownCall):
        opt.call(old.call_id)
    young = opt.select_optimal_model("chat", 1000)
    opt.refresh(flush=True)
    assert opt.call(young.call_id).selection == young
    assert verify(opt.database, opt.settings.reward_rule) == []


def test_what_they_taught_stays(opened: Open, clock: Clock) -> None:
    opt = opened(pool(rest="retention: 2d"))
    before = expected_quality(opt)
    teach(opt, CHEAP, [1.0] * 12)
    clock.forward(days=4)
    opt.refresh(flush=True)
    after = expected_quality(opt)
    assert before is not None
    assert after is not None
    assert after > before


def test_without_it_all_are_kept(opened: Open, clock: Clock) -> None:
    opt = opened(pool())
    old = opt.select_optimal_model("chat", 1000)
    clock.forward(days=4_000)
    opt.refresh(flush=True)
    assert opt.call(old.call_id).selection == old
