"""What goes into the ledger, in groups, whatever comes with it."""

import asyncio
import math
import threading
from dataclasses import replace

import pytest

from optimizer.domain import Request
from optimizer.errors import InvalidRating, InvalidRequest, LedgerError, LedgerUnavailable, UnknownCall
from optimizer.ledger.audit import verify
from optimizer.ledger.calls import read_call, recent_calls
from optimizer.ledger.database import Database
from optimizer.ledger.sessions import SessionChoice, recall_session
from optimizer.ledger.writer import Writer
from tests.ledger.factory import NOON, make_attempt, make_decision, make_rating, make_selection, rule_of


def test_a_call_reads_back_as_it_was_written(database: Database, writer: Writer) -> None:
    request = Request(
        use_case="chat",
        context_tokens=1200,
        session_id="s",
        tenant="acme",
        tags=(("team", "search"),),
        required_quality="97%",
        needs_tools=True,
        max_cost_usd=0.25,
    )
    selection = replace(make_selection("a", request=request), prompt_hmac="0123456789abcdef")
    attempts = make_attempt("a", failed=True), replace(make_attempt("a", number=1), reused="in_flight")
    writer.submit(selection, *attempts, make_rating("a")).result()
    stored = read_call(database, "a")
    assert stored.selection == selection
    assert stored.attempts == attempts
    assert stored.feedback == (make_rating("a"),)
    assert stored.served == attempts[1]


def test_features_are_kept_only_where_they_are_asked_for(database: Database) -> None:
    request = Request(use_case="chat", context_tokens=1, features=(0.5, -1.0))
    for keep, call_id in ((False, "without"), (True, "with")):
        writer = Writer(database, rule_of, keep_features=keep)
        writer.submit(make_selection(call_id, request=request))
        writer.close()
    assert read_call(database, "without").selection.request.features is None
    assert read_call(database, "with").selection.request.features == (0.5, -1.0)


def test_an_unknown_call_leaves_the_rest_of_the_batch_whole(database: Database) -> None:
    writer = Writer(database, rule_of)
    receipts = [
        writer.submit(fact)
        for fact in (make_selection("a"), make_rating("nobody"), make_attempt("nobody"), make_attempt("a"))
    ]
    writer.flush()
    with pytest.raises(UnknownCall, match="nobody"):
        receipts[1].result()
    with pytest.raises(UnknownCall, match="nobody"):
        receipts[2].result()
    writer.close()
    assert read_call(database, "a").attempts == (make_attempt("a"),)
    assert verify(database, rule_of) == []


def test_unknown_calls_are_no_calls(database: Database) -> None:
    with pytest.raises(UnknownCall):
        read_call(database, "nobody")


@pytest.mark.parametrize("value", [math.nan, -0.1, 1.5, math.inf])
def test_ratings_out_of_range_are_refused(database: Database, writer: Writer, value: float) -> None:
    writer.submit(make_selection("a"), make_attempt("a")).result()
    with pytest.raises(InvalidRating):
        writer.submit(make_rating("a", value)).result()
    assert read_call(database, "a").feedback == ()


@pytest.mark.parametrize(
    "poison",
    [
        replace(make_attempt("a"), cost_nano_usd=2**70),
        replace(make_attempt("a"), provider="\udc80"),
        replace(make_attempt("a"), latency_ms=math.nan),
        replace(make_attempt("a"), latency_ms=-1.0),
        replace(make_attempt("a"), at=NOON.replace(tzinfo=None)),
    ],
)
def test_a_poisoned_fact_does_not_lose_its_neighbours(database: Database, poison: object) -> None:
    writer = Writer(database, rule_of)
    neighbours = [writer.submit(make_selection(name), make_attempt(name)) for name in ("b", "c", "d")]
    first = writer.submit(make_selection("a"))
    bad = writer.submit(poison)  # type: ignore[arg-type]
    last = writer.submit(make_selection("e"), make_rating("e"))
    writer.close()
    for receipt in (*neighbours, first, last):
        receipt.result()
    with pytest.raises((LedgerError, InvalidRequest)):
        bad.result()
    assert {call.selection.call_id for call in recent_calls(database)} == set("abcde")
    assert verify(database, rule_of) == []


def test_one_bad_fact_refuses_its_whole_submission(database: Database, writer: Writer) -> None:
    with pytest.raises(InvalidRating):
        writer.submit(make_selection("a"), make_attempt("a"), make_rating("a", 7.0)).result()
    with pytest.raises(UnknownCall):
        read_call(database, "a")


def test_repeats_change_nothing(database: Database, writer: Writer) -> None:
    facts = make_selection("a"), make_attempt("a"), make_rating("a")
    for _ in range(3):
        for fact in facts:
            writer.submit(fact).result()
        writer.submit(*facts).result()
    assert len(recent_calls(database)) == 1
    assert read_call(database, "a").feedback == (make_rating("a"),)
    assert verify(database, rule_of) == []


def test_an_attempt_that_differs_from_the_stored_one_is_refused(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), make_attempt("a")).result()
    with pytest.raises(InvalidRequest, match="attempt 0"):
        writer.submit(replace(make_attempt("a"), cost_nano_usd=1)).result()
    assert read_call(database, "a").attempts == (make_attempt("a"),)


def test_many_threads_write_as_one(database: Database) -> None:
    """Four threads and two writers, 25 calls each: every call is there, and evidence is their sum."""
    writers = [Writer(database, rule_of) for _ in range(2)]

    def work(thread: int) -> None:
        for number in range(25):
            name = f"{thread}-{number}"
            writer = writers[number % 2]
            writer.submit(make_selection(name), make_attempt(name), make_rating(name, number / 25))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.close()
    assert len(recent_calls(database, limit=200)) == 100
    assert verify(database, rule_of) == []


def test_a_full_queue_makes_callers_wait_and_loses_nothing(database: Database) -> None:
    writer = Writer(database, rule_of, capacity=10)
    for number in range(200):
        writer.submit(make_selection(f"{number:03}"))
    writer.close()
    assert len(recent_calls(database, limit=500)) == 200


def test_a_receipt_can_be_awaited(writer: Writer) -> None:
    async def one() -> None:
        await writer.submit(make_selection("a"))
        with pytest.raises(UnknownCall):
            await writer.submit(make_rating("nobody"))

    asyncio.run(one())


def test_a_future_of_a_finished_receipt_is_done(writer: Writer) -> None:
    receipt = writer.submit(make_selection("a"))
    receipt.result()
    assert receipt.done()
    assert receipt.future().done()


def test_a_closed_writer_says_so(database: Database) -> None:
    writer = Writer(database, rule_of)
    writer.close()
    writer.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        writer.submit(make_selection("a"))


def test_alike_calls_share_one_decision(database: Database, writer: Writer) -> None:
    other = make_decision("code")
    for number in range(3):
        writer.submit(make_selection(f"a{number}"), make_selection(f"b{number}", decision=other)).result()
    found = {call.selection.decision.digest for call in recent_calls(database)}
    assert found == {make_selection("x").decision.digest, other.digest}


def test_session_choices_travel_with_calls(database: Database, writer: Writer) -> None:
    writer.submit(make_selection("a"), SessionChoice("chat", "s", "small", NOON)).result()
    assert recall_session(database, "chat", "s") == "small"
