"""Every fault can be asked for by a header, and is seen by a plain client as the real thing would be."""

import json

import httpx
import pytest

from optimizer.domain import Gateway
from optimizer.simulation.fake_gateway import FAULTS, FakeServer
from optimizer.simulation.fake_gateway.faults import REFUSALS
from tests.gateway.specs import document, refused
from tests.simulation.fake_calls import PLAIN, TOOL, ask, message

STATUS = {
    "rate_limit": (429, 429, 429),
    "rate_limit_bare": (429, 429, 429),
    "gateway_rate_limit": (429, 429, 429),
    "quota": (429, 402, 429),
    "key_budget": (412, 402, 429),
    "provider_budget": (412, 402, 429),
    "model_not_allowed": (412, 404, 403),
    "unauthorized": (401, 401, 401),
    "provider_unauthorized": (401, 401, 401),
    "forbidden": (403, 403, 403),
    "not_found": (404, 404, 404),
    "bad_request": (400, 400, 400),
    "context_length": (400, 400, 400),
    "content_policy": (400, 403, 400),
    "guardrail": (446, 403, 400),
    "gateway_timeout": (408, 408, 408),
    "server_error": (500, 500, 500),
    "bad_gateway": (502, 502, 502),
    "unavailable": (503, 503, 503),
    "timeout_504": (504, 504, 504),
    "edge_timeout": (524, 524, 524),
    "overloaded": (529, 529, 529),
    "failure_body": (500, 500, 500),
    "html_message": (500, 500, 500),
    "html_page": (502, 502, 502),
    "empty_body": (502, 502, 502),
}


def test_every_refusal_has_a_status_here() -> None:
    assert set(STATUS) == set(REFUSALS)


@pytest.mark.parametrize("fault", REFUSALS)
def test_refusals_have_the_status_of_the_gateway(server: FakeServer, fault: str) -> None:
    gateways: tuple[Gateway, ...] = ("portkey", "openrouter", "direct")
    assert tuple(ask(server, gateway, fault=fault).status_code for gateway in gateways) == STATUS[fault]


@pytest.mark.parametrize("fault", [name for name in REFUSALS if name not in {"html_page", "empty_body"}])
def test_openrouters_errors_are_as_its_document_says(server: FakeServer, fault: str) -> None:
    reply = ask(server, "openrouter", fault=fault)
    described = document("openrouter")["paths"]["/chat/completions"]["post"]["responses"]
    if str(reply.status_code) in described:
        found = refused("openrouter", reply.json(), path="/chat/completions", status=reply.status_code)
        assert found == []
    assert reply.json()["error"]["code"] == reply.status_code


def test_a_providers_error_is_told_from_the_gateways_own(server: FakeServer) -> None:
    provider, own = (ask(server, fault=fault).json() for fault in ("rate_limit", "gateway_rate_limit"))
    assert (provider["provider"], provider["error"]["message"][:13]) == ("openai", "openai error:")
    assert ("provider" in own, own["error"]["type"]) == (False, "api_key_rate_limit_error")


def test_openrouters_error_behind_portkey_is_text_in_a_message(server: FakeServer) -> None:
    body = ask(server, model="@openrouter/openai/gpt-4o", fault="server_error").json()
    assert body["error"]["message"].startswith("Invalid response received from openrouter: {")
    assert body["error"]["code"] is None


def test_retry_after_has_the_seconds_asked_for(server: FakeServer) -> None:
    replies = [ask(server, fault=fault) for fault in ("rate_limit:7", "rate_limit_bare", "gateway_rate_limit")]
    assert [reply.headers.get("retry-after") for reply in replies] == ["7", None, None]


def test_openrouters_own_limit_alone_says_when_it_resets(server: FakeServer) -> None:
    faults = ("gateway_rate_limit", "rate_limit", "")
    replies = [ask(server, "openrouter", fault=fault) for fault in faults]
    assert ["x-ratelimit-reset" in reply.headers for reply in replies] == [True, False, False]
    assert ask(server, "openrouter", fault="unavailable").headers["retry-after"] == "1"


def test_portkeys_own_bodies_have_its_three_shapes(server: FakeServer) -> None:
    bodies = [ask(server, fault=fault).json() for fault in ("failure_body", "html_message", "key_budget")]
    assert bodies[0] == {"status": "failure", "message": "Something went wrong"}
    assert list(bodies[1]) == ["html-message"]
    assert bodies[2]["error"]["code"] == "04"


def test_a_bad_gateway_may_say_html_or_nothing(server: FakeServer) -> None:
    page, nothing = (ask(server, fault=fault) for fault in ("html_page", "empty_body"))
    assert page.headers["content-type"] == "text/html"
    assert (page.text[:6], nothing.text) == ("<html>", "")


def test_guardrails_deny_with_446_and_warn_with_246(server: FakeServer) -> None:
    denied, warned = (ask(server, fault=fault) for fault in ("guardrail", "guardrail_warning"))
    assert (denied.status_code, denied.json()["error"]["type"]) == (446, "hooks_failed")
    assert (warned.status_code, "hook_results" in warned.json()) == (246, True)
    assert message(warned)["content"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("hang", httpx.ReadTimeout),
        ("stall", httpx.ReadTimeout),
        ("reset", httpx.ReadError),
        ("broken", httpx.ReadError),
        ("close", httpx.RemoteProtocolError),
        ("cut", httpx.RemoteProtocolError),
    ],
)
def test_connections_break_in_every_way(server: FakeServer, fault: str, error: type[Exception], stream: bool) -> None:
    body = {"model": "gpt-4o", "messages": [], "stream": stream}
    wait = httpx.Timeout(10.0, read=0.2 if fault in {"hang", "stall"} else 10.0)
    with httpx.Client(timeout=wait, **PLAIN) as http, pytest.raises(error):
        http.post(f"{server.portkey_url}/chat/completions", json=body, headers={"x-fake-fault": fault})


def test_garbage_is_no_json_and_a_wrong_body_no_completion(server: FakeServer) -> None:
    garbage, other = (ask(server, fault=fault) for fault in ("garbage", "not_a_completion"))
    with pytest.raises(ValueError, match="Expecting value"):
        garbage.json()
    assert (garbage.status_code, other.json()) == (200, {"hello": "world"})


def test_a_refused_connection_is_one(server: FakeServer) -> None:
    with server.refusing(), pytest.raises(httpx.ConnectError):
        ask(server)
    assert ask(server).status_code == 200


@pytest.mark.parametrize(
    ("fault", "content", "finish"),
    [
        ("empty", "", "stop"),
        ("empty_length", "", "length"),
        ("finish_error", "The", "error"),
        ("error_midway", "The", "error"),
        ("content_filter", "The", "content_filter"),
        ("cut_short", "The", "length"),
        ("invalid_json", '{"a', "stop"),
    ],
)
def test_replies_go_wrong_inside_of_200(server: FakeServer, fault: str, content: str, finish: str) -> None:
    reply = ask(server, "openrouter", fault=fault)
    assert (reply.status_code, reply.json()["choices"][0]["finish_reason"]) == (200, finish)
    assert message(reply)["content"][:3] == content


def test_messages_may_lack_content_or_refuse(server: FakeServer) -> None:
    assert "content" not in message(ask(server, fault="no_content"))
    assert message(ask(server, fault="refusal"))["refusal"] == "I cannot help with that."


def test_tool_calls_may_end_with_stop_or_be_malformed(server: FakeServer) -> None:
    stopped, malformed = (ask(server, fault=fault, tools=[TOOL]) for fault in ("tool_stop", "bad_arguments"))
    assert stopped.json()["choices"][0]["finish_reason"] == "stop"
    assert message(stopped)["tool_calls"]
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(message(malformed)["tool_calls"][0]["function"]["arguments"])


def test_usage_may_be_absent_and_the_model_another(server: FakeServer) -> None:
    assert "usage" not in ask(server, fault="no_usage").json()
    assert ask(server, fault="other_model").json()["model"] == "another-model"


def test_an_unknown_fault_is_told_and_not_ignored(server: FakeServer) -> None:
    reply = ask(server, fault="earthquake")
    assert reply.status_code == 400
    assert "unknown fault 'earthquake'" in reply.text


def test_every_fault_says_what_it_is() -> None:
    assert all(FAULTS.values())
