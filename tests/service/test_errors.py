"""What a client is told of each failure, and of none more than it may know."""

from datetime import UTC, datetime, timedelta

import pytest

from optimizer.errors import (
    AllCandidatesFailed,
    ConnectionBroken,
    ContentBlocked,
    ContextLengthExceeded,
    ContextTooLong,
    DeadlineExceeded,
    GatewayTimeout,
    InvalidRequest,
    LedgerError,
    LedgerNotUpgraded,
    LedgerTooNew,
    LedgerUnavailable,
    LimitReached,
    NoEligibleCandidate,
    NoGateway,
    NotALedger,
    OptimizerError,
    RateLimited,
    RequestRefused,
    ServerFailed,
    UnknownCall,
    UnknownModel,
    UnknownUseCase,
)
from optimizer.service.errors import answer_to, invalid, retry_after
from optimizer.service.security import Refused
from tests.service.conftest import Serve
from tests.service.running import Served, error_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
AT_PORTKEY = {"gateway": "portkey", "model_id": "gpt-4o"}


def failed(*errors: OptimizerError) -> AllCandidatesFailed:
    return AllCandidatesFailed("call", errors)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "status", "code", "param"),
    [
        (InvalidRequest("temperature", "too hot"), 400, "invalid_value", "temperature"),
        (UnknownUseCase("poetry", ("chat",)), 400, "invalid_value", "use_case"),
        (UnknownModel("gpt-99", ("gpt-4o",)), 404, "model_not_found", "model"),
        (UnknownCall("x"), 404, "call_not_found", "call_id"),
        (ContextTooLong("chat", {}), 400, "context_length_exceeded", "messages"),
        (NoEligibleCandidate("chat", {}), 422, "no_eligible_candidate", None),
        (failed(), 502, "all_candidates_failed", None),
        (failed(ServerFailed(**AT_PORTKEY)), 502, "all_candidates_failed", None),
        (failed(RateLimited(**AT_PORTKEY), ServerFailed(**AT_PORTKEY)), 502, "all_candidates_failed", None),
        (failed(GatewayTimeout(**AT_PORTKEY)), 504, "timeout", None),
        (failed(ContextLengthExceeded(**AT_PORTKEY)), 400, "context_length_exceeded", "messages"),
        (failed(RequestRefused(**AT_PORTKEY), ContextLengthExceeded(**AT_PORTKEY)), 400, "request_refused", None),
        (failed(ContentBlocked(**AT_PORTKEY)), 400, "content_filter", None),
        (ConnectionBroken(**AT_PORTKEY), 502, "all_candidates_failed", None),
        (DeadlineExceeded("call", 1.0, ()), 504, "deadline_exceeded", None),
        (NoGateway(), 503, "no_gateway", None),
        (Refused(403, "insufficient_permissions", "no"), 403, "insufficient_permissions", None),
    ],
)
def test_each_failure_has_its_status_and_word(error: Exception, status: int, code: str, param: str | None) -> None:
    told = answer_to(error, NOON)
    assert (told.status, told.code, told.param) == (status, code, param)
    assert told.body["error"]["message"] == str(error)


def test_the_soonest_of_rate_limits_says_when_to_come_again() -> None:
    errors = [RateLimited(**AT_PORTKEY, retry_after_s=wait) for wait in (None, 7.2, 30.0)]
    told = answer_to(failed(*errors), NOON)
    assert (told.status, told.code, told.headers["retry-after"]) == (429, "rate_limit_exceeded", "8")


def test_a_limit_opens_at_the_end_of_its_window() -> None:
    limit = LimitReached(
        limit="tenant acme", window="hour", limit_usd=1, left_usd=0, opens_at=NOON + timedelta(minutes=5)
    )
    told = answer_to(limit, NOON)
    assert (told.status, told.kind, told.headers["retry-after"]) == (429, "insufficient_quota", "300")
    assert "tenant acme" in told.message


def test_a_wait_is_at_least_a_second() -> None:
    assert retry_after(-3.0) == retry_after(0.2) == {"retry-after": "1"}


@pytest.mark.parametrize("kind", [LedgerUnavailable, LedgerNotUpgraded, LedgerTooNew, NotALedger])
def test_where_the_ledger_is_stays_here(kind: type[LedgerError]) -> None:
    told = answer_to(kind("postgresql://10.0.0.7/ledger is away"), NOON)
    assert (told.status, told.code, told.headers["retry-after"]) == (503, "ledger_unavailable", "1")
    assert "10.0.0.7" not in told.message


@pytest.mark.parametrize("error", [KeyError("secret"), LedgerError("secret"), ValueError("secret")])
def test_what_nobody_foresaw_is_500_and_nothing_more(error: Exception) -> None:
    told = answer_to(error, NOON)
    assert (told.status, told.code) == (500, "internal_error")
    assert "secret" not in str(told.body)


def test_what_pydantic_says_comes_without_the_value() -> None:
    problem = {
        "type": "int_type",
        "loc": ("body", "many", 3, "attempt"),
        "msg": "Input should be an integer",
        "input": "secret",
    }
    told = invalid(problem)
    assert (told.status, told.param) == (400, "3.attempt")
    assert told.message == "3.attempt: Input should be an integer"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405), ("POST", "/v1/models", 405)],
)
def test_addresses_that_are_not_there_answer_in_the_same_shape(
    served: Served, method: str, path: str, status: int
) -> None:
    answer = served.client.request(method, path)
    assert answer.status_code == status
    assert error_of(answer)["code"] in {"not_found", "method_not_allowed"}
    assert ("allow" in answer.headers) == (status == 405)


def test_an_error_that_nobody_foresaw_is_logged_without_its_words(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler of our own stands for the unforeseen: it fails with words that may be a prompt."""
    from fastapi import APIRouter

    broken = APIRouter()

    @broken.get("/broken")
    async def fail() -> None:
        raise KeyError("xylophone-7391")

    answer = serve(routers=(broken,)).client.get("/broken")
    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal_error")
    assert "Unforeseen KeyError" in caplog.text
    assert "xylophone" not in answer.text + caplog.text.replace('raise KeyError("xylophone-7391")', "")
