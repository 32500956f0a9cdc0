"""Outcomes are read one by one, with what all their attempts cost; observe mode's notes come with their decisions."""

from dataclasses import replace
from datetime import timedelta

from optimizer.ledger.database import Database
from optimizer.ledger.outcomes import observed_between, outcomes_between
from optimizer.ledger.totals import count_calls
from optimizer.ledger.writer import Writer
from tests.ledger.factory import NOON, make_attempt, make_decision, make_selection

HOUR = timedelta(hours=1)


def test_served_calls_are_told_with_what_all_their_attempts_cost(database: Database, writer: Writer) -> None:
    """`a` costs 360,000 nano-dollars and its failed attempt 40,000; `b`'s failed attempt is of unknown cost."""
    failed = replace(make_attempt("a", failed=True), cost_nano_usd=40_000, cost_source="priced")
    writer.submit(make_selection("a"), failed, make_attempt("a", number=1, model_id="large"))
    writer.submit(make_selection("b"), make_attempt("b", failed=True), make_attempt("b", number=1))
    writer.submit(make_selection("lost"), make_attempt("lost", failed=True))
    writer.submit(make_selection("open")).result()
    first, second = outcomes_between(database, NOON, NOON + HOUR)
    assert (first.model_id, first.paid_usd, first.latency_ms) == ("large", 0.0004, 812.5)
    assert (first.input_tokens, first.cached_tokens, first.output_tokens) == (1200, 200, 300)
    assert (first.use_case, first.decided_at, first.session_id, first.held_out) == ("chat", NOON, None, False)
    assert second.paid_usd is None
    assert count_calls(database) == 4


def test_a_reply_of_another_call_is_no_outcome_of_a_choice(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), replace(make_attempt("a"), reused="cache", cost_nano_usd=0))
    writer.submit(make_selection("b"), make_attempt("b")).result()
    assert [outcome.paid_usd for outcome in outcomes_between(database, NOON, NOON + HOUR)] == [0.00036]


def test_period_and_use_case_are_kept_to(database: Database, writer: Writer) -> None:
    other = make_decision("code")
    writer.submit(make_selection("a"), make_attempt("a"))
    writer.submit(make_selection("b", at=NOON + HOUR), make_attempt("b"))
    writer.submit(make_selection("c", decision=other), make_attempt("c")).result()
    assert [o.use_case for o in outcomes_between(database, NOON, NOON + HOUR)] == ["chat", "code"]
    assert [o.use_case for o in outcomes_between(database, NOON, NOON + HOUR, use_case="code")] == ["code"]


def test_observed_choices_are_counted_by_who_was_drawn(database: Database, writer: Writer) -> None:
    for number in range(5):
        noted = replace(make_selection(f"{number}", model_id="large"), overridden_by="observe")
        writer.submit(replace(noted, drawn_model_id="small") if number < 3 else noted)
    writer.submit(make_selection("free")).result()
    found = list(observed_between(database, NOON, NOON + HOUR))
    assert {(o.model_id, o.drawn_model_id): o.n_calls for o in found} == {("large", "small"): 3, ("large", "large"): 2}
    assert found[0].decision.distribution == {"small": 0.5, "large": 0.5}
    assert list(observed_between(database, NOON + HOUR, NOON + 2 * HOUR)) == []
