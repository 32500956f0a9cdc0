"""Decide here, call yourself: a selection over HTTP, and what came of it."""

import httpx
import pytest
from uuid_utils import uuid7

from tests.engine.factory import DEAR, MIDDLE, USAGE
from tests.service.conftest import Serve
from tests.service.running import Served, error_of

MARKED = "xylophone-7391"


def select(served: Served, headers: dict[str, str] | None = None, **body: object) -> httpx.Response:
    return served.client.post("/v1/select", json={"use_case": "chat", **body}, headers=headers)


def record(served: Served, call_id: object, **body: object) -> httpx.Response:
    return served.client.post("/v1/outcomes", json={"call_id": call_id, **body})


def test_a_selection_is_the_librarys_and_is_kept(served: Served) -> None:
    answer = select(served, context_length=1000, needs_tools=True, tags={"team": "a"}, session_id="s", tenant="acme")
    assert answer.status_code == 200
    kept = served.last.selection
    assert answer.json() == kept.to_dict()
    assert (kept.request.needs_tools, kept.request.tags, kept.request.tenant) == (True, (("team", "a"),), "acme")


def test_a_callers_own_tenant_counts(served: Served) -> None:
    select(served, headers={"x-optimizer-tenant-tag": "acme"}, tenant="bolt")
    assert served.last.selection.request.tenant == "acme"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"use_case": None}, "use_case"),
        ({"use_case": ""}, "use_case"),
        ({"use_case": "a\u0000"}, "use_case"),
        ({"context_length": -1}, "context_length"),
        ({"context_length": 10**12}, "context_length"),
        ({"context_length": MARKED}, "context_length"),
        ({"required_quality": 7}, "required_quality"),
        ({"objective": "loudest"}, "objective"),
        ({"cost_tier": MARKED}, "cost_tier"),
        ({"tags": {"a": 1}}, "tags.a"),
        ({"max_cost_usd": 0}, "max_cost_usd"),
        ({"needs_tools": MARKED}, "needs_tools"),
        ({"colour": MARKED}, "colour"),
    ],
)
def test_a_wrong_argument_is_named(served: Served, body: dict[str, object], param: str) -> None:
    answer = select(served, **body)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert MARKED not in answer.text


def test_a_model_that_is_no_candidate_is_not_found(served: Served) -> None:
    answer = select(served, model="gpt-99")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")


def test_an_outcome_is_recorded_and_priced(served: Served) -> None:
    call_id = select(served, model=DEAR).json()["call_id"]
    usage = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
    answer = record(served, call_id, usage=usage, latency_ms=700.5, status=200)
    assert answer.json() == {
        "call_id": call_id,
        "attempt": 0,
        "model": DEAR,
        "served": True,
        "cost_usd": pytest.approx(0.0045),  # 1,000 × $2.5 + 200 × $10 per million
        "cost_source": "priced",
    }
    (attempt,) = served.last.attempts
    assert (attempt.usage, attempt.latency_ms, attempt.status) == (USAGE, 700.5, 200)


def test_a_replys_usage_is_taken_as_it_is(served: Served) -> None:
    call_id = select(served, model=DEAR).json()["call_id"]
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "total_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 400, "audio_tokens": None},
        "completion_tokens_details": {"reasoning_tokens": 50, "accepted_prediction_tokens": 0},
    }
    assert record(served, call_id, usage=usage).status_code == 200
    taken = served.last.attempts[0].usage
    assert taken == USAGE.model_copy(update={"cached_tokens": 400, "reasoning_tokens": 50})


def test_a_failure_and_a_fallback_are_two_attempts(served: Served) -> None:
    call_id = select(served, model=DEAR).json()["call_id"]
    failed = record(served, call_id, error="timeout").json()
    served_by = record(served, call_id, model=MIDDLE, attempt=1, cost_usd=0.01).json()
    assert (failed["served"], failed["cost_usd"], failed["cost_source"]) == (False, None, "unknown")
    assert (served_by["model"], served_by["cost_usd"], served_by["cost_source"]) == (MIDDLE, 0.01, "reported")
    assert [attempt.error_kind for attempt in served.last.attempts] == ["timeout", None]


def test_the_same_outcome_twice_changes_nothing(served: Served) -> None:
    call_id = select(served).json()["call_id"]
    assert [record(served, call_id, latency_ms=7.0).status_code for _ in range(2)] == [200, 200]
    assert len(served.last.attempts) == 1


def test_an_outcome_reaches_the_call_of_another_worker(url: str, serve: Serve) -> None:
    one, other = serve(database=url), serve(database=url)
    call_id = select(one).json()["call_id"]
    assert record(other, call_id, latency_ms=7.0).status_code == 200
    other.optimizer.flush()
    assert other.optimizer.call(call_id).attempts[0].latency_ms == 7.0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"usage": {"prompt_tokens": -1, "completion_tokens": 1}}, "usage.prompt_tokens"),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 10**12}}, "usage.completion_tokens"),
        ({"usage": {"prompt_tokens": True, "completion_tokens": 1}}, "usage.prompt_tokens"),
        ({"cost_usd": 1e300}, "cost_usd"),
        ({"usage": {"words": 3}}, "usage.input_tokens"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"latency_ms": "1"}, "latency_ms"),
        ({"error": f"it said {MARKED}"}, "error"),
        ({"status": 7}, "status"),
        ({"attempt": -1}, "attempt"),
        ({"reply": MARKED}, "reply"),
    ],
)
def test_a_wrong_outcome_is_named(served: Served, body: dict[str, object], param: str) -> None:
    answer = record(served, select(served).json()["call_id"], **body)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert MARKED not in answer.text


def test_an_outcome_of_no_call_is_not_found(served: Served) -> None:
    assert record(served, str(uuid7())).status_code == 404


def test_an_outcome_of_another_tenants_call_is_not_found(served: Served) -> None:
    call_id = select(served, tenant="acme").json()["call_id"]
    answer = served.client.post("/v1/outcomes", json={"call_id": call_id}, headers={"x-optimizer-tenant-tag": "bolt"})
    assert (answer.status_code, error_of(answer)["code"]) == (404, "call_not_found")
