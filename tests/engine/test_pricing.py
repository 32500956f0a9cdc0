"""Prices that the ledger has seen: they act on the next call, in every process, with nothing to relearn."""

from optimizer.domain import DatedPrice, Price
from optimizer.ledger.prices import append_prices
from tests.engine.conftest import Open
from tests.engine.factory import CHEAP, DEAR, NOON, Clock, pool, teach

GIFT = Price(0.001, 0.001)  # cheaper than anybody
FLOOR = pool("objective: 'floor:0.5', guard: 0, exploration: 0")
SEEN = DatedPrice(DEAR, "portkey", NOON, GIFT, "list")


def test_price_change_acts_on_the_next_call(opened: Open, clock: Clock) -> None:
    """All are known to be good enough, so the cheapest serves: first the one, then the other."""
    opt = opened(FLOOR)
    for model in (DEAR, CHEAP):
        teach(opt, model, [0.8] * 30)
    before = opt.select_optimal_model("chat", 1000)
    append_prices(opt.database, [SEEN])
    clock.forward(minutes=1)
    opt.refresh()
    after = opt.select_optimal_model("chat", 1000)
    assert [round(each.distribution[model], 2) for each, model in ((before, CHEAP), (after, DEAR))] == [1.0, 1.0]
    assert before.decision.price_version != after.decision.price_version
    assert before.policy_version == after.policy_version


def test_ledger_is_asked_for_prices_once_a_minute_at_most(opened: Open, clock: Clock) -> None:
    opt = opened(FLOOR)
    append_prices(opt.database, [SEEN])
    clock.forward(seconds=59)
    opt.refresh()
    assert opt.catalog.price(DEAR, "portkey", clock()) != GIFT
    clock.forward(seconds=1)
    opt.refresh()
    assert opt.catalog.price(DEAR, "portkey", clock()) == GIFT


def test_prices_are_known_from_the_first_call_on(opened: Open) -> None:
    append_prices(opened(FLOOR).database, [SEEN])
    selection = opened(FLOOR).select_optimal_model("chat", 1000)
    assert selection.decision.by_model[DEAR].candidate.price == GIFT
