"""Portkey as it is played: headers on every reply, slugs, its own retries and fallbacks, models, feedback, prices."""

import json
from typing import Any

import httpx
import pytest

from optimizer.simulation.fake_gateway import FakeServer, Script, running_gateway
from tests.gateway.specs import refused
from tests.simulation.fake_calls import PLAIN, TOOL, ask, get

TWO = {
    "strategy": {"mode": "fallback"},
    "targets": [
        {"provider": "openai", "override_params": {"model": "gpt-4o"}, "retry": {"attempts": 1}},
        {"provider": "anthropic", "override_params": {"model": "claude-haiku-4-5", "max_tokens": 50}},
    ],
}


def _send(server: FakeServer, method: str, path: str, body: object) -> httpx.Response:
    headers = {"x-portkey-api-key": "pk"}
    return httpx.request(method, f"{server.portkey_url}{path}", json=body, headers=headers, **PLAIN)


def _with_config(server: FakeServer, config: object, fault: str = "") -> httpx.Response:
    text = config if isinstance(config, str) else json.dumps(config)
    return ask(server, model="", fault=fault, headers={"x-portkey-config": text})


@pytest.mark.parametrize("fault", ["", "server_error", "guardrail"])
def test_every_reply_has_portkeys_headers(server: FakeServer, fault: str) -> None:
    headers = ask(server, fault=fault, headers={"x-portkey-trace-id": "call-7"}).headers
    assert headers["x-portkey-trace-id"] == "call-7"
    assert headers["x-portkey-provider"] == "openai"
    assert headers["x-portkey-last-used-option-index"] == "config"
    assert (headers["x-portkey-retry-attempt-count"], headers["x-portkey-cache-status"]) == ("0", "DISABLED")


def test_a_slug_is_taken_off_the_model(server: FakeServer) -> None:
    assert ask(server, model="@openai/gpt-4o").json()["model"] == "gpt-4o"
    assert ask(server, model="@openrouter/openai/gpt-4o").json()["model"] == "openai/gpt-4o"


def test_a_failed_target_is_tried_again_and_then_the_next_one(server: FakeServer) -> None:
    reply = _with_config(server, TWO, "server_error,server_error")
    assert (reply.status_code, reply.json()["model"]) == (200, "claude-haiku-4-5")
    assert reply.headers["x-portkey-last-used-option-index"] == "config.targets[1]"
    assert reply.headers["x-portkey-provider"] == "anthropic"


def test_a_retry_that_answers_is_counted(server: FakeServer) -> None:
    reply = _with_config(server, TWO, "server_error")
    assert reply.json()["model"] == "gpt-4o"
    assert reply.headers["x-portkey-retry-attempt-count"] == "1"


def test_retries_used_up_are_counted_as_minus_one(server: FakeServer) -> None:
    config = {**TWO["targets"][0]}  # type: ignore[dict-item]
    reply = _with_config(server, config, "server_error,server_error")
    assert (reply.status_code, reply.headers["x-portkey-retry-attempt-count"]) == (500, "-1")


def test_other_statuses_do_not_move_on(server: FakeServer) -> None:
    config = TWO | {"strategy": {"mode": "fallback", "on_status_codes": [429]}}
    assert _with_config(server, config, "bad_request").status_code == 400
    assert _with_config(server, config, "rate_limit,rate_limit").json()["model"] == "claude-haiku-4-5"


def test_targets_inside_of_targets_are_named_by_their_path(server: FakeServer) -> None:
    """Two failures of the first one, as it is tried again, one of the second, one of the third."""
    reply = _with_config(
        server, {"strategy": {"mode": "fallback"}, "targets": [TWO, TWO]}, ",".join(["rate_limit"] * 4)
    )
    assert reply.headers["x-portkey-last-used-option-index"] == "config.targets[1].targets[0]"
    reply = _with_config(server, {"targets": [{"override_params": {"model": "gpt-4o-mini"}}], "provider": "openai"})
    assert (reply.json()["model"], reply.headers["x-portkey-provider"]) == ("gpt-4o-mini", "openai")


def test_load_is_balanced_by_weight(server: FakeServer) -> None:
    targets = [target | {"weight": weight} for target, weight in zip(TWO["targets"], (0, 1), strict=True)]  # type: ignore[call-overload]
    reply = _with_config(server, {"strategy": {"mode": "loadbalance"}, "targets": targets})
    assert reply.json()["model"] == "claude-haiku-4-5"


def test_the_gateway_gives_up_at_its_timeout(server: FakeServer) -> None:
    reply = ask(server, fault="hang", headers={"x-portkey-request-timeout": "20"})
    assert (reply.status_code, reply.json()["error"]["type"]) == (408, "timeout_error")
    assert "20ms" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "model", "words"),
    [
        ({"x-portkey-provider": "openai"}, "@openai/gpt-4o", "Invalid provider passed"),
        ({"x-portkey-provider": "@openai"}, "gpt-4o", "Invalid provider passed"),
        ({"x-portkey-trace-id": "t"}, "gpt-4o", "Either x-portkey-config or x-portkey-provider header is required"),
        ({"x-portkey-config": "pc-1"}, "gpt-4o", "Invalid config passed"),
        ({"x-portkey-provider": "openai", "x-portkey-custom-host": "http://e.org"}, "gpt-4o", "Invalid custom host"),
    ],
)
def test_the_open_source_gateway_refuses_what_it_cannot(headers: dict[str, str], model: str, words: str) -> None:
    with running_gateway(Script(mode="oss")) as server:
        reply = ask(server, headers=headers, model=model)
    assert (reply.status_code, reply.json()) == (400, {"status": "failure", "message": words})


def test_the_open_source_gateway_has_no_feedback_and_makes_no_trace_ids() -> None:
    with running_gateway(Script(mode="oss")) as server:
        assert _send(server, "POST", "/feedback", {"trace_id": "t", "value": 1}).status_code == 404
        reply = ask(server, headers={"x-portkey-provider": "openai"}, model="gpt-4o")
    assert reply.headers["x-portkey-trace-id"] == ""


def test_stored_slugs_and_configurations_are_known_by_name() -> None:
    script = Script(slugs={"mine": "anthropic"}, configs={"pc-1": {"override_params": {"model": "@openai/gpt-4o"}}})
    with running_gateway(script) as server:
        reply = ask(server, model="@mine/claude-haiku-4-5", max_tokens=50)
        unknown = ask(server, model="@yours/gpt-4o")
        stored, missing = _with_config(server, "pc-1"), _with_config(server, "pc-2")
    assert reply.headers["x-portkey-provider"] == "anthropic"
    assert unknown.json()["message"] == "Following keys are not valid: yours"
    assert (stored.json()["model"], missing.json()["message"]) == ("gpt-4o", "Invalid config id passed")


@pytest.mark.parametrize(
    ("model", "body", "param"),
    [
        ("@openai/gpt-5.4-mini", {"temperature": 0.5}, "temperature"),
        ("@openai/gpt-5.4-mini", {"max_tokens": 5}, "max_tokens"),
        ("@openai/gpt-5.6-luna", {"tools": [TOOL]}, "tools"),
        ("@anthropic/claude-sonnet-5", {"max_tokens": 5, "top_p": 0.5}, "top_p"),
        ("@anthropic/claude-haiku-4-5", {}, "max_tokens"),
    ],
)
def test_models_refuse_what_they_do_not_take(server: FakeServer, model: str, body: dict, param: str) -> None:
    reply = ask(server, model=model, **body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_tools_without_reasoning_are_taken(server: FakeServer) -> None:
    assert ask(server, model="@openai/gpt-5.6-luna", tools=[TOOL], reasoning_effort="none").status_code == 200


def test_parameters_get_lost_on_the_way(server: FakeServer) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    text = ask(server, model="@anthropic/claude-haiku-4-5", max_tokens=50, response_format=schema)
    no_tools = ask(server, model="@deepseek/deepseek-v4-flash", tools=[TOOL])
    assert text.json()["choices"][0]["message"]["content"].startswith("The answer")
    assert "tool_calls" not in no_tools.json()["choices"][0]["message"]


def test_models_are_listed_as_the_document_says(server: FakeServer) -> None:
    own = get(f"{server.portkey_url}/models", headers={"x-portkey-api-key": "pk"}).json()
    theirs = get(f"{server.portkey_url}/models", headers={"x-portkey-provider": "anthropic"}).json()
    assert refused("portkey", own, path="/models", method="get", status=200) == []
    assert "@openai/gpt-4o" in {model["id"] for model in own["data"]}
    assert {model["id"].partition("-")[0] for model in theirs["data"]} == {"claude"}


def test_feedback_is_stored_and_changed(server: FakeServer) -> None:
    saved = _send(server, "POST", "/feedback", {"trace_id": "t-1", "value": 8, "weight": 3})
    assert refused("portkey", saved.json(), path="/feedback", status=200) == []
    (identity,) = saved.json()["feedback_ids"]
    assert _send(server, "PUT", f"/feedback/{identity}", {"value": -2, "weight": 0.5}).status_code == 200
    assert server.feedback[identity] == {"trace_id": "t-1", "value": -2, "weight": 0.5, "metadata": {}}


def test_feedback_may_be_a_list(server: FakeServer) -> None:
    saved = _send(server, "POST", "/feedback", [{"trace_id": "a", "value": 1}, {"trace_id": "b", "value": 2}])
    assert [server.feedback[i]["trace_id"] for i in saved.json()["feedback_ids"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"value": 1}, "032"),
        ({"trace_id": "t"}, "032"),
        ([], "032"),
        ({"trace_id": "t", "value": 11}, "033"),
        ({"trace_id": "t", "value": 0.5}, "033"),
        ([{"trace_id": "t", "value": 1}, {"trace_id": "t", "value": True}], "033"),
    ],
)
def test_wrong_feedback_is_refused_with_its_code(server: FakeServer, body: Any, code: str) -> None:
    reply = _send(server, "POST", "/feedback", body)
    assert reply.status_code == 400
    assert reply.json()["message"] == f"Portkey Error: Invalid Request Body. Error code: {code}"


def test_feedback_that_is_not_there_cannot_be_changed(server: FakeServer) -> None:
    assert _send(server, "PUT", "/feedback/none", {"value": 1}).status_code == 404
    assert _send(server, "DELETE", "/feedback", None).status_code == 405


def test_prices_are_cents_per_token(server: FakeServer) -> None:
    """GPT-4o costs $2.50 a million tokens: 0.00025 cents each."""
    reply = get(f"{server.url}/model-configs/pricing/openai/gpt-4o").json()
    assert reply["pay_as_you_go"]["request_token"]["price"] == 0.00025
    path = "/model-configs/pricing/{provider}/{model}"
    assert refused("portkey-models", reply, path=path, method="get", status=200) == []
    unknown = get(f"{server.url}/model-configs/pricing/openai/none")
    assert (unknown.status_code, unknown.json()) == (404, {"error": "Model not found"})


def test_the_root_greets(server: FakeServer) -> None:
    assert get(server.url).status_code == 200
