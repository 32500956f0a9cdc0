"""Ratings over HTTP: every way to say one, of which call, by whom; all or none of a batch; and taking them back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from uuid_utils import uuid7

from optimizer.domain import Feedback
from optimizer.ledger.database import connect
from optimizer.service.lookup import N_LOOKS, PAUSE_S, is_fresh
from tests.engine.factory import pool
from tests.service.conftest import Serve
from tests.service.running import Served, error_of, until

PATH = "/v1/feedback"
LABELLED = pool("objective: quality, metrics: {labels: {good: 1.0, poor: 0.25}, others: [tone]}")
MARKED = "xylophone-7391"
ACME = {"x-optimizer-tenant-tag": "acme"}


def rated(served: Served, **chat: Any) -> str:
    """Return the id of a new call."""
    return served.chat(**chat).headers["x-optimizer-call-id"]


def rate(served: Served, body: object, **more: Any) -> httpx.Response:
    return served.client.post(PATH, json=body, **more)


def ratings(served: Served, call_id: str) -> dict[tuple[str, str], float | None]:
    served.optimizer.flush()
    found: tuple[Feedback, ...] = served.optimizer.call(call_id).feedback
    return {(each.metric, each.rater): each.value for each in found}


@pytest.mark.parametrize(
    ("value", "worth"),
    [
        (0.9, 0.9),
        (0, 0.0),
        (1, 1.0),
        (True, 1.0),
        (False, 0.0),
        ({"stars": 4, "of": 5}, 0.8),
        ({"stars": 4}, 0.8),
        ({"stars": 0, "of": 10}, 0.0),
        ({"stars": 3.5, "of": 5}, 0.7),
        ("good", 1.0),
        ("poor", 0.25),
        ("0.5", 0.5),
        ("4/5", 0.8),
        ("true", 1.0),
    ],
)
def test_a_rating_is_said_in_many_ways(serve: Serve, value: object, worth: float) -> None:
    served = serve(LABELLED)
    call_id = rated(served)
    answer = rate(served, {"call_id": call_id, "value": value})
    assert answer.status_code == 200
    assert answer.json()["data"] == [{"call_id": call_id, "metric": "quality", "rater": "user", "value": worth}]
    assert ratings(served, call_id) == {("quality", "user"): worth}


@pytest.mark.parametrize(
    "value",
    [1.5, -0.1, MARKED, "", None, [], {}, {"stars": 6, "of": 5}, {"stars": 1, "of": 0}, {"stars": 1, "text": 1}],
)
def test_what_is_no_rating_is_refused_and_not_repeated(serve: Serve, value: object) -> None:
    served = serve(LABELLED)
    answer = rate(served, {"call_id": rated(served), "value": value})
    assert (answer.status_code, error_of(answer)["param"]) == (400, "value")
    assert MARKED not in answer.text


def test_a_metric_and_a_rater_may_be_named(serve: Serve) -> None:
    served = serve(LABELLED)
    call_id = rated(served)
    rate(served, {"call_id": call_id, "value": 0.4, "metric": "tone", "rater": "ann"})
    assert ratings(served, call_id) == {("tone", "ann"): 0.4}
    answer = rate(served, {"call_id": call_id, "value": 0.4, "metric": "smell"})
    assert (answer.status_code, error_of(answer)["param"]) == (400, "metric")


def test_the_same_raters_later_rating_takes_the_place_of_the_earlier(served: Served) -> None:
    call_id = rated(served)
    for value in (0.2, 0.2, 0.8):
        rate(served, {"call_id": call_id, "value": value})
    assert ratings(served, call_id) == {("quality", "user"): 0.8}


def test_a_comment_is_refused_with_the_reason(served: Served) -> None:
    answer = rate(served, {"call_id": rated(served), "value": 1, "comment": MARKED})
    assert (answer.status_code, error_of(answer)["param"]) == (400, "comment")
    assert "not kept" in error_of(answer)["message"]
    assert MARKED not in answer.text


def test_a_session_is_rated_by_its_latest_call(served: Served) -> None:
    first, second = (rated(served, headers={"x-optimizer-session": "s"}) for _ in range(2))
    rated(served, headers={"x-optimizer-session": "another"})
    answer = rate(served, {"session_id": "s", "value": 0.9})
    assert answer.json()["data"][0]["call_id"] == second
    assert (ratings(served, first), ratings(served, second)) == ({}, {("quality", "user"): 0.9})


@pytest.mark.parametrize(
    ("subject", "status", "param"),
    [
        ({}, 400, "call_id"),
        ({"call_id": str(uuid7()), "session_id": "s"}, 400, "call_id"),
        ({"call_id": "nope"}, 404, "call_id"),
        ({"call_id": "01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90"}, 404, "call_id"),
        ({"session_id": "nobody"}, 404, "session_id"),
        ({"call_id": str(uuid7()), "colour": "red"}, 400, "colour"),
        ({"call_id": 7}, 400, "call_id"),
        ({"session_id": "a\u0000b"}, 400, "session_id"),
        ({"call_id": "01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90", "rater": ""}, 400, "rater"),
    ],
)
def test_what_cannot_be_rated_is_said(served: Served, subject: dict[str, object], status: int, param: str) -> None:
    answer = rate(served, {**subject, "value": 1})
    assert (answer.status_code, error_of(answer)["param"]) == (status, param)


def test_a_new_unknown_call_is_refused_after_another_look(served: Served) -> None:
    """A call of another worker may be 50 ms from being written."""
    began = time.monotonic()
    assert rate(served, {"call_id": str(uuid7()), "value": 1}).status_code == 404
    assert time.monotonic() - began >= (N_LOOKS - 1) * PAUSE_S


def test_the_id_of_a_call_tells_whether_it_is_new() -> None:
    """0x01936b2e7c1f ms are 1,732,670,028.831 s, and the midnight of 2024-11-27 was at 1,732,665,600."""
    made = datetime(2024, 11, 27, 1, 13, 48, 831_000, tzinfo=UTC)
    for seconds, fresh in ((0, True), (9, True), (-9, True), (11, False), (3_600, False)):
        assert is_fresh("01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90", made + timedelta(seconds=seconds)) is fresh


def test_a_rating_that_comes_before_the_other_worker_has_written_its_call_is_taken(url: str, serve: Serve) -> None:
    one, other = serve(database=url), serve(database=url)
    for _ in range(10):
        call_id = rated(one)
        assert rate(other, {"call_id": call_id, "value": 0.5}).status_code == 200
        assert ratings(other, call_id) == {("quality", "user"): 0.5}


def test_a_batch_is_taken_whole(served: Served) -> None:
    calls = [rated(served) for _ in range(3)]
    answer = rate(served, [{"call_id": call_id, "value": {"stars": 5}} for call_id in calls])
    assert [each["call_id"] for each in answer.json()["data"]] == calls
    assert all(ratings(served, call_id) == {("quality", "user"): 1.0} for call_id in calls)


@pytest.mark.parametrize(
    ("wrong", "status", "param"), [({"value": 7}, 400, "1.value"), ({"call_id": "x"}, 404, "1.call_id")]
)
def test_a_batch_with_one_wrong_rating_is_refused_whole(
    served: Served, wrong: dict[str, object], status: int, param: str
) -> None:
    call_id = rated(served)
    good = {"call_id": call_id, "value": 1}
    answer = rate(served, [good, {**good, **wrong}])
    assert (answer.status_code, error_of(answer)["param"]) == (status, param)
    assert ratings(served, call_id) == {}


@pytest.mark.parametrize("body", [[], "x", 1, None])
def test_what_is_no_rating_at_all_is_refused(served: Served, body: object) -> None:
    assert rate(served, body).status_code == 400


def test_a_batch_has_an_end(served: Served) -> None:
    assert rate(served, [{"call_id": "x", "value": 1}] * 1_001).status_code == 400


# Taking back


def test_a_rating_is_taken_back_by_body_or_query(served: Served) -> None:
    call_id = rated(served)
    rate(served, [{"call_id": call_id, "value": 1, "rater": rater} for rater in ("ann", "bob", "cy")])
    by_body = served.client.request("DELETE", PATH, json={"call_id": call_id, "rater": "ann"})
    by_query = served.client.delete(PATH, params={"call_id": call_id, "rater": "bob"})
    assert (by_body.status_code, by_query.status_code) == (200, 200)
    assert by_query.json()["data"] == [{"call_id": call_id, "metric": "quality", "rater": "bob", "value": None}]
    assert ratings(served, call_id) == {("quality", "cy"): 1.0}


def test_what_was_never_given_may_be_taken_back(served: Served) -> None:
    call_id = rated(served)
    assert served.client.delete(PATH, params={"call_id": call_id}).status_code == 200
    assert ratings(served, call_id) == {}


def test_taking_back_names_a_call(served: Served) -> None:
    assert error_of(served.client.delete(PATH))["param"] == "call_id"


# While the ledger is away


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_ratings_are_taken_while_the_ledger_is_away(serve: Serve, url: str) -> None:
    """Of this worker's call, and of another's, which nobody can look up; but no label, and nothing for a tenant."""
    one, other = (serve(LABELLED, database=url, timeout_s=0.1) for _ in range(2))
    call_id = rated(one, headers=ACME)
    one.optimizer.flush()
    with away(url, other):
        own = rated(other)
        answers = [rate(other, {"call_id": each, "value": {"stars": 4}}) for each in (own, call_id)]
        refused = [
            rate(other, {"call_id": call_id, "value": "good"}),
            rate(other, {"call_id": call_id, "value": 1}, headers=ACME),
        ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [(answer.status_code, error_of(answer)["code"]) for answer in refused] == [(503, "ledger_unavailable")] * 2
    assert ratings(other, own) == ratings(other, call_id) == {("quality", "user"): 0.8}


@contextmanager
def away(url: str, served: Served) -> Iterator[None]:
    """Let nobody else read or write, from when a service has noticed."""
    database = connect(url)
    with database.writing() as connection:
        connection.exec_driver_sql("LOCK TABLE evidence, calls, attempts, feedback, sessions, decisions")
        served.chat()
        assert until(lambda: served.optimizer.is_ledger_away)
        yield
    database.close()


# Whose business it is


def test_another_tenants_call_is_not_there(served: Served) -> None:
    acme = {"x-optimizer-tenant-tag": "acme"}
    call_id = rated(served, headers={**acme, "x-optimizer-session": "s"})
    for subject in ({"call_id": call_id}, {"session_id": "s"}):
        assert rate(served, {**subject, "value": 1}, headers={"x-optimizer-tenant-tag": "bolt"}).status_code == 404
        assert rate(served, {**subject, "value": 1}, headers=acme).status_code == 200


def test_a_token_lets_its_bearer_rate_that_one_call(served: Served) -> None:
    first, second = (served.chat().headers for _ in range(2))
    token = {"x-optimizer-feedback-token": first["x-optimizer-feedback-token"]}
    assert rate(served, {"value": 1}, headers=token).json()["data"][0]["call_id"] == first["x-optimizer-call-id"]
    answer = rate(served, {"call_id": second["x-optimizer-call-id"], "value": 1}, headers=token)
    assert answer.status_code == 403
    assert rate(served, {"session_id": "s", "value": 1}, headers=token).status_code == 403


@pytest.mark.parametrize("change", [lambda token: token + "x", lambda token: "x" + token, lambda token: "nonsense"])
def test_a_token_that_was_changed_is_refused(served: Served, change: Any) -> None:
    token = change(served.chat().headers["x-optimizer-feedback-token"])
    answer = rate(served, {"value": 1}, headers={"x-optimizer-feedback-token": token})
    assert (answer.status_code, error_of(answer)["code"]) == (401, "invalid_feedback_token")


def test_a_rating_is_taken_without_any_gateway(serve: Serve) -> None:
    served = serve(environ={})
    call_id = served.client.post("/v1/select", json={"use_case": "chat"}).json()["call_id"]
    assert rate(served, {"call_id": call_id, "value": 1}).status_code == 200
    assert ratings(served, call_id) == {("quality", "user"): 1.0}


def test_a_rating_is_learned_from(served: Served) -> None:
    call_id = rated(served)
    rate(served, {"call_id": call_id, "value": 1})
    served.optimizer.refresh(flush=True)
    assert served.optimizer.snapshot.arrays.ratings.n.sum() == pytest.approx(1.0, abs=0.01)  # it fades already
    assert served.optimizer.call(call_id).feedback[0].at < datetime.now(UTC)
