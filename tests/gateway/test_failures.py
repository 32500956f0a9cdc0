"""Failed replies, whatever their shape, are the right error, and nothing of their text is kept."""

import json
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import (
    ConnectionBroken,
    ContentBlocked,
    ContextLengthExceeded,
    Forbidden,
    GatewayError,
    GatewayTimeout,
    InvalidReply,
    ModelUnavailable,
    OutOfCredit,
    RateLimited,
    RequestRefused,
    ServerFailed,
    StreamBroken,
    Unauthorized,
)
from optimizer.gateway.failures import failure_in, failure_of
from optimizer.gateway.transport import Answer
from tests.gateway.calls import call, failure, streamed
from tests.gateway.loopback import event, replying, streaming, token

MARKED = "MARKED-TEXT-OF-A-PROMPT"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def failed(status: int, body: object = b"", **headers: str) -> GatewayError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return failure_of(Answer(status, named, content), gateway="portkey", model_id="gpt-4o", now=lambda: NOON)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, InvalidReply),
        (400, RequestRefused),
        (401, Unauthorized),
        (402, OutOfCredit),
        (403, Forbidden),
        (404, ModelUnavailable),
        (408, GatewayTimeout),
        (412, OutOfCredit),
        (413, RequestRefused),
        (418, RequestRefused),
        (422, RequestRefused),
        (429, RateLimited),
        (446, ContentBlocked),
        (500, ServerFailed),
        (502, ServerFailed),
        (503, ServerFailed),
        (504, GatewayTimeout),
        (524, GatewayTimeout),
        (529, ServerFailed),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html><h1>Bad gateway</h1></html>", b'{"message": "Not Found", "ok": false}'])
def test_a_status_without_words_means_what_it_means(status: int, kind: type[GatewayError], body: bytes) -> None:
    found = failed(status, body)
    assert (type(found), found.status, found.code) == (kind, status, None)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"status": "failure", "message": "Something went wrong"}, {"x_portkey_gateway_exception": "true"}),
        ({"html-message": "Message: fetch failed Cause: Error: read ECONNRESET Name: TypeError"}, {}),
        ({"html-message": "Message: fetch failed Cause: SocketError: other side closed Name: TypeError"}, {}),
    ],
)
def test_a_reply_that_portkey_lost_may_have_been_charged(body: object, headers: dict[str, str]) -> None:
    found = failed(500, body, **headers)
    assert (type(found), found.status, found.gateway_wide) == (ConnectionBroken, 500, False)


PORTKEY: list[tuple[int, Any, type[GatewayError], str | None]] = [
    (400, {"status": "failure", "message": "Invalid provider passed"}, ModelUnavailable, "gateway_configuration"),
    (
        400,
        {"status": "failure", "message": "Following keys are not valid: x"},
        ModelUnavailable,
        "gateway_configuration",
    ),
    (400, {"status": "failure", "message": "bad", "errors": ["path: retry, message: no"]}, RequestRefused, None),
    (
        400,
        {"errors": ["the maximum context length is 8192"]},
        ContextLengthExceeded,
        "context_length_exceeded",
    ),
    (401, {"status": "failure", "error": {"message": "Invalid API Key", "code": "03"}}, Unauthorized, None),
    (408, {"error": {"type": "timeout_error", "code": None}}, GatewayTimeout, "timeout_error"),
    (412, {"status": "failure", "error": {"code": "04"}}, OutOfCredit, None),
    (412, {"error": {"type": "virtual_key_exhaust_error"}}, OutOfCredit, "virtual_key_exhaust_error"),
    (412, {"error": {"type": "model_not_allowed_error"}}, Forbidden, "model_not_allowed_error"),
    (429, {"error": {"type": "api_key_rate_limit_error"}}, RateLimited, "api_key_rate_limit_error"),
    (446, {"error": {"type": "hooks_failed"}, "hook_results": {}}, ContentBlocked, "hooks_failed"),
    (500, {"html-message": "Message: fetch failed Cause: ECONNREFUSED Name: TypeError"}, ServerFailed, None),
    (500, {"status": "failure", "message": "Something went wrong"}, ServerFailed, None),
]
PROVIDERS: list[tuple[int, Any, type[GatewayError], str | None]] = [
    (429, {"error": {"code": "insufficient_quota", "type": "insufficient_quota"}}, OutOfCredit, "insufficient_quota"),
    (429, {"error": {"code": "rate_limit_exceeded", "type": "tokens"}}, RateLimited, "rate_limit_exceeded"),
    (400, {"error": {"code": "context_length_exceeded"}}, ContextLengthExceeded, "context_length_exceeded"),
    (
        400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8"}},
        ContextLengthExceeded,
        "context_length_exceeded",
    ),
    (
        400,
        [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "The input token count (9) exceeds 8"}}],
        ContextLengthExceeded,
        "context_length_exceeded",
    ),
    (400, {"error": {"type": "invalid_request_error"}}, RequestRefused, "invalid_request_error"),
    (400, {"error": {"message": "Your credit balance is too low"}}, OutOfCredit, "insufficient_credits"),
    (400, {"error": {"code": "content_filter", "inner": {}}}, ContentBlocked, "content_filter"),
    (404, {"error": {"code": "model_not_found"}}, ModelUnavailable, "model_not_found"),
    (529, {"type": "error", "error": {"type": "overloaded_error"}}, ServerFailed, "overloaded_error"),
]
OPENROUTER: list[tuple[int, Any, type[GatewayError], str | None]] = [
    (400, {"error": {"code": 400, "metadata": {"error_type": "max_tokens_exceeded"}}}, ContextLengthExceeded, None),
    (400, {"error": {"code": 400, "metadata": {"error_type": "refusal"}}}, ContentBlocked, "refusal"),
    (402, {"error": {"code": 402, "metadata": {"error_type": "payment_required"}}}, OutOfCredit, "payment_required"),
    (403, {"error": {"code": 403, "metadata": {"reasons": ["x"], "flagged_input": "y"}}}, ContentBlocked, None),
    (403, {"error": {"code": 403, "metadata": {"error_type": "permission_denied"}}}, Forbidden, "permission_denied"),
    (403, {"error": {"metadata": {"error_type": "permission_denied", "patterns": ["x"]}}}, ContentBlocked, None),
    (
        503,
        {"error": {"error_type": "x", "http_status": 503, "availability": {"code": "no_endpoints"}}},
        ModelUnavailable,
        "no_endpoints",
    ),
    (
        400,
        {"error": {"code": 400, "metadata": {"raw": '{"error": {"code": "context_length_exceeded"}}'}}},
        ContextLengthExceeded,
        "context_length_exceeded",
    ),
    (
        429,
        {
            "error": {
                "message": 'Invalid response received from openrouter: {"error":{"code":402,"metadata":'
                '{"error_type":"payment_required"}}}',
                "type": None,
            },
            "provider": "openrouter",
        },
        OutOfCredit,
        "payment_required",
    ),
]


@pytest.mark.parametrize(("status", "body", "kind", "code"), [*PORTKEY, *PROVIDERS, *OPENROUTER])
def test_words_say_more_than_the_status(status: int, body: Any, kind: type[GatewayError], code: str | None) -> None:
    found = failed(status, body)
    assert type(found) is kind
    assert code is None or found.code == code


def test_who_failed_behind_the_gateway_is_named() -> None:
    assert failed(429, {"error": {}, "provider": "openai"}).provider == "openai"
    assert failed(429, {"error": {"metadata": {"provider_name": "Google AI Studio"}}}).provider == "Google AI Studio"
    assert failed(429, b"", x_portkey_provider="azure-openai").provider == "azure-openai"
    assert failed(429, {"provider": f"{MARKED} {MARKED} {MARKED}"}).provider is None


def test_a_key_that_the_provider_refuses_says_nothing_of_the_gateway() -> None:
    assert not failed(401, {"error": {}, "provider": "openai"}).gateway_wide
    assert failed(401, {"status": "failure"}, x_portkey_provider="openai").gateway_wide


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry_after": "7"}, {}, 7.0),
        ({"retry_after": "1.5"}, {}, 1.5),
        ({"retry_after_ms": "250", "retry_after": "7"}, {}, 0.25),
        ({"x_ms_retry_after_ms": "250"}, {}, 0.25),
        ({"retry_after": "Tue, 24 Nov 2026 12:00:30 GMT"}, {}, 30.0),
        ({"retry_after": "Tue, 24 Nov 2026 11:00:00 GMT"}, {}, 0.0),
        ({"retry_after": "soon"}, {}, None),
        ({"retry_after": "-3"}, {}, None),
        ({"retry_after": "nan"}, {}, None),
        ({"retry_after": "Tue, 99 Nov 9999999 12:00:30 GMT"}, {}, None),
        ({"x_ratelimit_reset": str(int(NOON.timestamp() * 1000) + 2500)}, {}, 2.5),
        ({}, {"error": {"availability": {"code": "capacity_exhausted", "retry_after": 20}}}, 20.0),
        ({}, {}, None),
    ],
)
def test_how_long_to_wait_is_read_from_wherever_it_stands(
    headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    found = failed(429, body, **headers).retry_after_s
    assert found == (seconds if seconds is None else pytest.approx(seconds))


def inside(body: dict[str, Any]) -> GatewayError | None:
    return failure_in(body, gateway="openrouter", model_id="gpt-4o", status=200)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"error": {"code": 429, "message": "x"}}, RateLimited, 429),
        ({"error": {"code": "server_error", "message": "x"}}, ServerFailed, 200),
        ({"error": "x"}, ServerFailed, 200),
        ({"error": {"code": 400, "metadata": {"error_type": "content_policy_violation"}}}, ContentBlocked, 400),
        ({"error": {"type": "invalid_request_error", "message": "context window"}}, ContextLengthExceeded, 200),
        ({"choices": [{"error": {"code": 502}, "finish_reason": "error"}]}, ServerFailed, 502),
        ({"choices": [{"finish_reason": "error"}]}, ServerFailed, 200),
        ({"choices": [{"finish_reason": "rate_limit_error"}]}, RateLimited, 200),
    ],
)
def test_an_error_may_come_with_200(body: dict[str, Any], kind: type[GatewayError], status: int) -> None:
    found = inside(body)
    assert (type(found), found.status) == (kind, status)
    assert type(failure(replying(body))) is kind


@pytest.mark.parametrize("body", [{}, {"error": None}, {"choices": [{"finish_reason": ["error"]}]}, {"choices": 3}])
def test_a_body_without_an_error_has_none(body: dict[str, Any]) -> None:
    assert inside(body) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab 1€", max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "code", "type", "metadata", "raw"]), inner, max_size=4)
    ),
)


@given(st.integers(300, 999), JSON | st.binary(max_size=30))
def test_any_failed_reply_is_an_error_of_ours(status: int, body: object) -> None:
    assert isinstance(failed(status, body), GatewayError)


MARKED_BODIES = [
    {"error": {"message": MARKED, "type": MARKED, "code": MARKED, "param": MARKED, "metadata": {"raw": MARKED}}},
    {"status": "failure", "message": MARKED, "errors": [MARKED], "html-message": MARKED, "provider": f"{MARKED}!"},
    f"<html>{MARKED}</html>".encode(),
    {"error": {"message": f'{{"error": {{"code": "{MARKED}"}}}}'}},
]


def everything_of(error: BaseException) -> str:
    parts = [str(error), repr(error), repr(error.args), repr(vars(error))]
    parts += traceback.format_exception(error)
    parts += [repr(error.__cause__), repr(error.__context__)]
    parts += [repr(frame.f_locals) for frame, _ in traceback.walk_tb(error.__traceback__) if "optimizer" in str(frame)]
    return "\n".join(parts)


@pytest.mark.parametrize("body", MARKED_BODIES)
@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_nothing_of_the_other_side_s_text_is_kept(body: object, status: int) -> None:
    marked = call(body={"messages": [{"role": "user", "content": MARKED}]})
    error = failure(replying(body, status=status), marked)
    assert MARKED not in everything_of(error)
    assert (error.__cause__, error.__context__) == (None, None)


def test_nothing_of_a_broken_stream_s_text_is_kept() -> None:
    marked = call(body={"messages": [{"role": "user", "content": MARKED}]})
    said = event(error={"code": 502, "message": MARKED}, choices=[])
    for answer in (streaming(token(MARKED), said), streaming(token(MARKED)), streaming(said), streaming(b"x" * 9)):
        _, error = streamed(answer, marked)
        assert MARKED not in everything_of(error)
        assert (error.__cause__, error.__context__) == (None, None)


def test_the_word_of_a_broken_stream_is_one_of_ours() -> None:
    _, error = streamed(streaming(token("Hel"), event(error={"code": MARKED, "message": MARKED}, choices=[])))
    assert (type(error), error.code) == (StreamBroken, "server")
