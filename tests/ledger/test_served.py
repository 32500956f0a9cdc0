"""Served calls in bulk are the outcomes that are told one by one, as arrays."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from optimizer.domain import Request
from optimizer.ledger.database import Database
from optimizer.ledger.outcomes import outcomes_between
from optimizer.ledger.served import DRAWN, IN_SESSION, OTHERWISE, served_between
from optimizer.ledger.writer import Writer
from tests.ledger.factory import NOON, make_attempt, make_decision, make_selection

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("at_once", [1, 2, 1_000])
def test_columns_hold_what_outcomes_hold(database: Database, writer: Writer, at_once: int) -> None:
    """`a` costs 360,000 nano-dollars and its failed attempt 40,000; `b`'s failed attempt is of unknown cost."""
    failed = replace(make_attempt("a", failed=True), cost_nano_usd=40_000, cost_source="priced")
    writer.submit(make_selection("a"), failed, make_attempt("a", number=1, model_id="large"))
    writer.submit(make_selection("b"), make_attempt("b", failed=True), make_attempt("b", number=1))
    writer.submit(make_selection("lost"), make_attempt("lost", failed=True))
    writer.submit(make_selection("open"))
    writer.submit(make_selection("again"), replace(make_attempt("again"), reused="cache", cost_nano_usd=0))
    writer.submit(make_selection("z"), replace(make_attempt("z"), usage=None, latency_ms=None)).result()
    (chat,) = served_between(database, NOON, NOON + HOUR, at_once=at_once).values()
    outcomes = list(outcomes_between(database, NOON, NOON + HOUR))
    assert [chat.models[code] for code in chat.model] == [outcome.model_id for outcome in outcomes]
    assert [chat.models[code] for code in chat.drawn] == [outcome.drawn_model_id for outcome in outcomes]
    assert [chat.digests[code] for code in chat.decision] == [outcome.digest for outcome in outcomes]
    for name in ("paid_usd", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "latency_ms"):
        wanted = np.array([getattr(outcome, name) for outcome in outcomes], dtype=float)
        np.testing.assert_array_equal(getattr(chat, name), wanted)
    assert np.isnan(chat.paid_usd).tolist() == [False, True, False]


def test_who_settled_it_and_sessions_are_numbered_through_all_use_cases(database: Database, writer: Writer) -> None:
    chat, code = (Request(use_case=name, context_tokens=10, session_id="s") for name in ("chat", "code"))
    begun = make_selection("a", request=chat)
    turn = replace(make_selection("b", request=chat), propensity=None, overridden_by="session")
    pinned = replace(make_selection("c"), overridden_by="pin")
    other = make_selection("d", decision=make_decision("code"), request=code)
    for selection in (begun, turn, pinned, other):
        writer.submit(selection, make_attempt(selection.call_id))
    writer.flush()
    found = served_between(database, NOON, NOON + HOUR)
    assert list(found) == ["chat", "code"]
    assert found["chat"].settled.tolist() == [DRAWN, IN_SESSION, OTHERWISE]
    assert found["chat"].session.tolist() == [0, 0, -1]
    assert found["code"].session.tolist() == [0]


def test_period_and_use_case_are_kept_to_and_progress_is_told(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), make_attempt("a"))
    writer.submit(make_selection("b", at=NOON + HOUR), make_attempt("b"))
    writer.submit(make_selection("c", decision=make_decision("code")), make_attempt("c")).result()
    told: list[int] = []
    assert set(served_between(database, NOON, NOON + HOUR, told=told.append)) == {"chat", "code"}
    assert told[-1] == 2
    assert set(served_between(database, NOON, NOON + HOUR, use_case="code")) == {"code"}
    assert served_between(database, NOON + HOUR, NOON + 2 * HOUR)["chat"].at_us.size == 1
    assert not served_between(database, NOON + 2 * HOUR, NOON + 3 * HOUR)
