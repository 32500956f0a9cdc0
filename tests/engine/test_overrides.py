"""What stands above the draw: pins, rules, flags; each logged as such, beside the model that was drawn."""

import pytest

from optimizer.errors import NoEligibleCandidate
from optimizer.ledger.calls import StoredCall, recent_calls
from tests.engine.conftest import Open
from tests.engine.factory import CATALOG, CHEAP, DEAR, MIDDLE, Clock, pool, teach

RULES = """
routing:
  rules:
    - {name: long, condition: context_tokens > 32000, model: gpt-4.1}
    - {name: coders, condition: use_case == 'code', model: claude-sonnet-5}
    - {name: thrifty, condition: cost_tier == 'economy', model: gpt-5.4-mini}
"""


def _latest(opt) -> StoredCall:
    opt.flush()
    return recent_calls(opt.database, limit=1)[0]


@pytest.mark.parametrize(
    ("use_case", "asked", "served", "why"),
    [
        ("chat", {"context_length": 32_001}, "gpt-4.1", "rule:long"),
        ("chat", {"context_length": 32_000}, DEAR, None),
        ("code", {}, "claude-sonnet-5", "rule:coders"),
        ("code_generation", {}, "claude-sonnet-5", "rule:coders"),
        ("code", {"context_length": 40_000}, "gpt-4.1", "rule:long"),
        ("chat", {"cost_tier": "economy"}, MIDDLE, "rule:thrifty"),
        ("chat", {"cost_tier": "premium"}, DEAR, None),
        ("chat", {"cost_tier": "economy", "model": CHEAP}, CHEAP, "pin"),
    ],
)
def test_first_rule_that_holds_decides_and_is_logged(
    opened: Open, use_case: str, asked: dict, served: str, why: str | None
) -> None:
    """Without ratings the draw itself always takes the incumbent, gpt-4o in both use cases."""
    opt = opened(pool(rest=RULES))
    selection = opt.select_optimal_model(use_case, **asked)
    assert (selection.model_id, selection.drawn_model_id, selection.overridden_by) == (served, DEAR, why)
    assert selection.propensity == 1.0
    assert _latest(opt).selection == selection


def test_model_of_a_rule_need_not_be_a_candidate(opened: Open) -> None:
    opt = opened(pool(rest=RULES))
    selection = opt.select_optimal_model("chat", 50_000)
    assert "gpt-4.1" not in selection.distribution
    assert selection.decision.exclusions["gpt-4.1"] == "not a candidate; serves by rule:long"
    assert selection.provider == "portkey"
    assert opt.record(selection, usage={"prompt_tokens": 50_000, "completion_tokens": 100}).model_id == "gpt-4.1"


def test_rule_for_long_requests_serves_where_no_candidate_could(opened: Open) -> None:
    """500,000 tokens are beyond every candidate's window, not beyond gpt-4.1's: that is what the rule is for."""
    opt = opened(pool(rest=RULES))
    selection = opt.select_optimal_model("chat", 500_000, session_id="s")
    assert (selection.model_id, selection.overridden_by, selection.propensity) == ("gpt-4.1", "rule:long", None)
    assert selection.distribution == {}
    assert f"its window of {CATALOG[DEAR].context_window_tokens:,} tokens" in selection.decision.exclusions[DEAR]
    assert _latest(opt).selection == selection
    assert "The rule 'long' decided." in selection.explain()
    opt.rate(selection.call_id, 1.0)


@pytest.mark.parametrize("asked", [{"context_length": 2_000_000}, {"context_length": 300, "model": CHEAP}])
def test_nobody_is_forced_who_cannot_serve_either(opened: Open, asked: dict) -> None:
    """Two million tokens are beyond gpt-4.1 too, and gpt-oss-120b takes no images."""
    text = f"use_cases: {{chat: {{candidates: [{CHEAP}]}}}}\n{RULES}"
    with pytest.raises(NoEligibleCandidate):
        opened(text).select_optimal_model("chat", needs_vision=True, **asked)


def test_rule_does_not_send_a_call_where_it_cannot_be_served(opened: Open) -> None:
    """gpt-oss-120b sees no images, so such a request is decided as if the rule were not there."""
    text_only = "routing:\n  rules:\n    - {name: oss, condition: context_tokens > 100, model: gpt-oss-120b}\n"
    opt = opened(pool(rest=text_only))
    assert opt.select_optimal_model("chat", 200).overridden_by == "rule:oss"
    assert opt.select_optimal_model("chat", 200, needs_vision=True).overridden_by is None


def test_pin_that_cannot_serve_is_refused(opened: Open) -> None:
    opt = opened(pool())
    with pytest.raises(NoEligibleCandidate, match=r"128,000.*pin another model"):
        opt.select_optimal_model("chat", 128_001, model=DEAR)


def test_pin_serves_while_the_draw_is_noted(opened: Open) -> None:
    opt = opened(pool())
    selection = opt.select_optimal_model("chat", model=CHEAP)
    assert (selection.model_id, selection.drawn_model_id, selection.overridden_by) == (CHEAP, DEAR, "pin")
    assert _latest(opt).selection == selection


def test_ratings_of_a_pinned_call_are_credited_to_who_served(opened: Open) -> None:
    opt = opened(pool())
    teach(opt, CHEAP, [0.9] * 5)
    standings = opt.select_optimal_model("chat", 1000).decision.by_model
    assert {model: standings[model].n_ratings for model in (DEAR, CHEAP)} == {DEAR: 0.0, CHEAP: 5.0}


def test_routing_off_sends_every_call_to_the_incumbent(opened: Open) -> None:
    opt = opened(pool("objective: quality"), LLM_ROUTING_ENABLED="false")
    for _ in range(10):
        selection = opt.select_optimal_model("chat", 1000)
        assert (selection.model_id, selection.overridden_by) == (DEAR, "flag:routing")
    assert _latest(opt).selection.overridden_by == "flag:routing"


def test_observe_mode_serves_the_incumbent_and_notes_our_own_choice(opened: Open) -> None:
    opt = opened(pool("objective: 'value:0.0001', exploration: 0"), LLM_COST_OPTIMIZATION="false")
    selection = opt.select_optimal_model("chat", 1000)
    assert (selection.model_id, selection.drawn_model_id, selection.overridden_by) == (DEAR, CHEAP, "observe")
    assert selection.propensity == pytest.approx(1.0)
    assert _latest(opt).selection == selection


def test_observe_mode_learns_of_the_incumbent_all_the_same(opened: Open, clock: Clock) -> None:
    opt = opened(pool(), LLM_COST_OPTIMIZATION="false")
    for _ in range(45):
        selection = opt.select_optimal_model("chat", 1000)
        opt.record(selection, latency_ms=500.0)
        opt.rate(selection.call_id, 0.8)
    opt.refresh(flush=True)
    selection = opt.select_optimal_model("chat", 1000)
    assert selection.decision.by_model[DEAR].n_ratings == 45
    assert selection.model_id == DEAR
    assert selection.distribution[DEAR] < 1.0
