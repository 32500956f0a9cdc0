"""The whole service behind API keys: what each scope opens, whose calls a tenant's key makes and sees."""

from datetime import UTC, datetime

import pytest

from optimizer.ledger.api_keys import create_key
from optimizer.ledger.schema import open_database
from tests.engine.factory import pool
from tests.service.conftest import Serve
from tests.service.running import CHAT, HELLO, Served, error_of

CHATTING = ("POST", CHAT, {"messages": HELLO})
SELECTING = ("POST", "/v1/select", {"use_case": "chat"})
RATING = ("POST", "/v1/feedback", {"call_id": "nope", "value": 1})
READING = ("GET", "/v1/budgets", None)
LISTING = ("GET", "/v1/models", None)


def key(url: str, *scopes: str, tenant: str | None = None) -> dict[str, str]:
    """Return the header of a new key."""
    database = open_database(url)
    _, text = create_key(database, datetime.now(UTC), scopes=scopes, label="test", tenant=tenant)
    database.close()
    return {"authorization": f"Bearer {text}"}


@pytest.mark.parametrize(
    ("scope", "opened"),
    [
        ("call", [CHATTING, SELECTING, LISTING]),
        ("feedback", [RATING]),
        ("read", [READING]),
        ("admin", [CHATTING, SELECTING, LISTING, RATING, READING]),
    ],
)
def test_a_scope_opens_what_it_says_and_nothing_else(
    serve: Serve, url: str, scope: str, opened: list[tuple[str, str, object]]
) -> None:
    headers = key(url, scope)
    served = serve(database=url)
    for method, path, body in (CHATTING, SELECTING, LISTING, RATING, READING):
        answer = served.client.request(method, path, json=body, headers=headers)
        is_open = (method, path, body) in opened
        assert (answer.status_code == 403) is not is_open, (path, answer.text)
        assert is_open or error_of(answer)["code"] == "insufficient_permissions"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer oo_wrong_wrong"}, {"authorization": "Basic eA=="}])
def test_without_a_key_only_health_is_told(serve: Serve, url: str, headers: dict[str, str]) -> None:
    key(url, "call")
    served = serve(database=url)
    for method, path, body in (CHATTING, SELECTING, LISTING, RATING, READING):
        answer = served.client.request(method, path, json=body, headers=headers)
        assert (answer.status_code, error_of(answer)["code"]) == (401, "invalid_api_key")
    assert [served.client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


def test_without_any_key_whatever_a_client_sends_is_ignored(served: Served) -> None:
    assert served.chat(headers={"authorization": "Bearer sk-of-openai"}).status_code == 200


def test_a_tenants_key_makes_and_sees_that_tenants_calls_alone(serve: Serve, url: str) -> None:
    acme, bolt = (key(url, "admin", tenant=name) for name in ("acme", "bolt"))
    served = serve(database=url)
    call_id = served.chat(headers={**acme, "x-optimizer-tenant-tag": "bolt"}).headers["x-optimizer-call-id"]
    assert served.last.selection.request.tenant == "acme"
    for headers, status in ((acme, 200), (bolt, 404)):
        assert served.client.get(f"/v1/calls/{call_id}", headers=headers).status_code == status
        rating = {"call_id": call_id, "value": 1}
        assert served.client.post("/v1/feedback", json=rating, headers=headers).status_code == status
        outcome = {"call_id": call_id, "attempt": 7, "latency_ms": 1.0}
        assert served.client.post("/v1/outcomes", json=outcome, headers=headers).status_code == status


def test_a_browser_rates_with_the_token_alone_at_whichever_worker(serve: Serve, url: str) -> None:
    headers = key(url, "call")
    one, other = serve(database=url), serve(database=url)
    answer = one.chat(headers=headers)
    token = {"x-optimizer-feedback-token": answer.headers["x-optimizer-feedback-token"]}
    rated = other.client.post("/v1/feedback", json={"value": True}, headers=token)
    assert rated.json()["data"][0]["call_id"] == answer.headers["x-optimizer-call-id"]
    assert other.client.get("/v1/budgets", headers=token).status_code == 401


def test_pages_of_named_origins_may_read_the_token_and_post_with_it(serve: Serve) -> None:
    served = serve(pool("objective: quality", "service: {cors_origins: ['https://app.example.com']}"))
    origin = {"origin": "https://app.example.com"}
    asked = {**origin, "access-control-request-method": "POST"}
    asked["access-control-request-headers"] = "content-type,x-optimizer-feedback-token"
    preflight = served.client.options("/v1/feedback", headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, origin["origin"])
    answer = served.chat(headers=origin)
    assert "x-optimizer-feedback-token" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in served.chat(headers={"origin": "https://evil.example.com"}).headers


def test_every_answer_carries_the_headers_of_security(served: Served) -> None:
    answers = (served.chat(), served.chat(stream=True), served.chat(messages=[]), served.client.get("/nothing"))
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)


def test_too_many_requests_are_told_when_to_come_again(serve: Serve) -> None:
    served = serve(pool("objective: quality", "service: {requests_per_minute: 2}"))
    answers = [served.client.get("/v1/models") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert error_of(answers[-1])["code"] == "rate_limit_exceeded"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
