"""What a report adds up, by hand."""

from dataclasses import replace
from datetime import timedelta

from optimizer.decision.credit import bin_upper_ms, latency_bin
from optimizer.domain import Request
from optimizer.ledger.calls import latest_call_of_session, read_call, recent_calls
from optimizer.ledger.database import Database
from optimizer.ledger.totals import MeanRating, Totals, count_calls, latency_percentiles, totals_between
from optimizer.ledger.writer import Writer
from tests.ledger.factory import NOON, make_attempt, make_decision, make_rating, make_selection

HOUR = timedelta(hours=1)


def test_totals_of_a_small_hour(database: Database, writer: Writer) -> None:
    """Call a: a failed try of unknown cost, then served for 0.00036 dollars, rated by two people, (0.8 + 0.4) / 2.

    Call b: served at unknown cost, rated by a judge alone. Call c, of the other model, was never made. Call d is of
    the next hour.
    """
    writer.submit(make_selection("a"), make_attempt("a", failed=True), make_attempt("a", number=1))
    writer.submit(make_rating("a", 0.8), make_rating("a", 0.4, rater="bob"), make_rating("a", 0.0, rater="judge:x"))
    writer.submit(
        make_selection("b"), replace(make_attempt("b"), cost_nano_usd=None, cost_source="unknown", usage=None)
    )
    writer.submit(make_rating("b", 1.0, rater="judge:x"), make_rating("b", None), make_rating("b", 1.0, metric="valid"))
    writer.submit(make_selection("c", model_id="large"))
    writer.submit(make_selection("d", at=NOON + HOUR), make_attempt("d")).result()
    small, large = totals_between(database, NOON, NOON + HOUR)
    assert {type(n) for n in (small.cost_nano_usd, small.input_tokens, large.n_calls)} == {int}
    assert large == Totals("chat", "large", n_calls=1)
    assert small == Totals(
        "chat",
        "small",
        n_calls=2,
        n_served=2,
        n_failed_attempts=1,
        n_known_costs=1,
        n_unknown_costs=2,
        cost_nano_usd=360_000,
        input_tokens=1200,
        cached_tokens=200,
        output_tokens=300,
        ratings={"quality": MeanRating(2, 0.8), "valid": MeanRating(1, 1.0)},
    )


def test_replies_of_other_calls_are_counted_apart(database: Database, writer: Writer) -> None:
    """Call a costs 0.00036 dollars, b gets its reply while it is in flight, c fails once before it gets it too."""
    writer.submit(make_selection("a"), make_attempt("a"))
    writer.submit(make_selection("b"), replace(make_attempt("b"), reused="in_flight", cost_nano_usd=0))
    failed = replace(make_attempt("c", failed=True), cost_nano_usd=5_000, cost_source="estimated")
    reply = replace(make_attempt("c", number=1), reused="cache", cost_nano_usd=None)
    writer.submit(make_selection("c"), failed, reply).result()
    (small,) = totals_between(database, NOON, NOON + HOUR)
    assert (small.n_calls, small.n_served, small.n_reused) == (3, 3, 2)
    assert (small.n_known_costs, small.n_unknown_costs, small.cost_nano_usd) == (2, 0, 365_000)
    assert (small.input_tokens, small.cached_tokens, small.output_tokens) == (1200, 200, 300)
    stored = read_call(database, "c")
    assert (stored.n_unknown_costs, stored.known_cost_usd) == (0, 0.000005)
    assert stored.attempts == (failed, reply)


def test_totals_of_one_use_case(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), make_selection("b", decision=make_decision("code"))).result()
    assert [t.use_case for t in totals_between(database, NOON, NOON + HOUR)] == ["chat", "code"]
    assert [t.use_case for t in totals_between(database, NOON, NOON + HOUR, use_case="code")] == ["code"]
    assert totals_between(database, NOON + HOUR, NOON + 2 * HOUR) == []


def test_latency_percentiles_come_from_the_bins(database: Database, writer: Writer) -> None:
    """Nineteen calls of 100 ms and one of 5 s: the median and the 95th are in the first bin, the maximum is not."""
    for number in range(20):
        attempt = replace(make_attempt(f"{number:02}"), latency_ms=5000.0 if number == 0 else 100.0)
        writer.submit(make_selection(f"{number:02}"), attempt).result()
    fast, slow = (bin_upper_ms(latency_bin(ms)) for ms in (100.0, 5000.0))
    found = latency_percentiles(database, NOON - HOUR, NOON + HOUR, (0.5, 0.95, 1.0))
    assert found == {("chat", "small"): (fast, fast, slow)}
    assert latency_percentiles(database, NOON + HOUR, NOON + 2 * HOUR) == {}


def test_recent_calls_come_newest_first(database: Database, writer: Writer) -> None:
    for number, name in enumerate("abc"):
        writer.submit(make_selection(name, at=NOON + number * HOUR)).result()
    writer.submit(make_selection("x", decision=make_decision("code"))).result()
    assert [call.selection.call_id for call in recent_calls(database, use_case="chat", limit=2)] == ["c", "b"]
    assert [call.selection.call_id for call in recent_calls(database, since=NOON + HOUR)] == ["c", "b"]


def test_calls_are_counted_all_or_with_exactly_these_tags(database: Database, writer: Writer) -> None:
    tagged = [
        Request(use_case="chat", context_tokens=1, tags=tags) for tags in [(("a", "1"), ("b", "ü")), (("a", "1"),)]
    ]
    for call_id, request in zip("xyz", [*tagged, None], strict=True):
        writer.submit(make_selection(call_id, request=request)).result()
    assert count_calls(database) == 3
    assert count_calls(database, tags={"b": "ü", "a": "1"}) == 1
    assert count_calls(database, tags={"a": "2"}) == 0


def test_a_sessions_latest_call_is_found_of_any_tenant_or_of_one(database: Database, writer: Writer) -> None:
    def of(tenant: str, session: str = "s") -> Request:
        return Request(use_case="chat", context_tokens=1, session_id=session, tenant=tenant)

    asked = {"a": of("acme"), "b": of("bolt"), "c": of("acme", "other")}
    for minute, (call_id, request) in enumerate(asked.items()):
        writer.submit(make_selection(call_id, at=NOON + timedelta(minutes=minute), request=request))
    writer.flush()
    assert latest_call_of_session(database, "s") == "b"
    assert latest_call_of_session(database, "s", tenant="acme") == "a"
    assert latest_call_of_session(database, "none") is None


def test_a_sessions_latest_call_is_found_without_reading_all_calls(database: Database) -> None:
    if not database.is_sqlite:
        return  # its planner reads small tables whole
    query = (
        "EXPLAIN QUERY PLAN SELECT call_id FROM calls WHERE session_id = ? ORDER BY decided_at_us DESC, call_id DESC"
    )
    with database.reading() as connection:
        plan = connection.exec_driver_sql(query, ("s",)).all()
    assert "ix_calls_session_id" in str(plan)
    assert "TEMP B-TREE" not in str(plan)
