"""Replies look as each gateway's own document says, with text, tools, JSON, tokens and cost as they are asked for."""

import json

import pytest

from optimizer.domain import Gateway
from optimizer.simulation.fake_gateway import FakeServer, ModelScript, Prices, Script, running_gateway
from optimizer.simulation.fake_gateway.text import count_tokens
from tests.gateway.specs import refused, refused_by_schema
from tests.simulation.fake_calls import TOOL, ask, chunks, message, said

GATEWAYS: tuple[tuple[Gateway, str], ...] = (("portkey", "portkey"), ("openrouter", "openrouter"), ("direct", "openai"))
COUNTS = {"x-fake-prompt-tokens": "100", "x-fake-cached-tokens": "40", "x-fake-reasoning-tokens": "10"}
COUNTS |= {"x-fake-completion-tokens": "30"}


@pytest.mark.parametrize(("gateway", "spec"), GATEWAYS)
@pytest.mark.parametrize("body", [{}, {"tools": [TOOL]}, {"max_tokens": 3}])
def test_replies_are_as_the_document_says(server: FakeServer, gateway: Gateway, spec: str, body: dict) -> None:
    reply = ask(server, gateway, **body)
    assert refused(spec, reply.json(), path="/chat/completions", status=200) == []


@pytest.mark.parametrize(
    ("gateway", "spec", "schema"),
    [
        ("direct", "openai", "CreateChatCompletionStreamResponse"),
        ("portkey", "openai", "CreateChatCompletionStreamResponse"),
        ("openrouter", "openrouter", "ChatStreamChunk"),
    ],
)
@pytest.mark.parametrize("body", [{}, {"tools": [TOOL]}])
def test_chunks_are_as_the_document_says(
    server: FakeServer, gateway: Gateway, spec: str, schema: str, body: dict
) -> None:
    reply = ask(server, gateway, stream=True, **body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert [refused_by_schema(spec, chunk, schema) for chunk in chunks(reply.text)] == [[]] * len(chunks(reply.text))


@pytest.mark.parametrize(("gateway", "_"), GATEWAYS)
def test_a_stream_says_the_same_as_a_plain_reply(server: FakeServer, gateway: Gateway, _: str) -> None:
    stream = ask(server, gateway, stream=True).text
    assert said(stream) == message(ask(server, gateway))["content"]
    assert stream.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("model", "expected", "details"),
    [
        ("@openai/gpt-4o", (100, 30, 130), {"reasoning_tokens": 10}),
        ("@anthropic/claude-haiku-4-5", (60, 30, 130), None),
        ("@google/gemini-2.5-flash", (100, 20, 130), {"reasoning_tokens": 10}),
    ],
)
def test_each_provider_counts_tokens_in_its_own_way(
    server: FakeServer, model: str, expected: tuple[int, int, int], details: dict | None
) -> None:
    """100 tokens in, 40 of them cached, 30 out, 10 of them reasoning."""
    usage = ask(server, headers=COUNTS, model=model, max_tokens=500).json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == expected
    assert usage["prompt_tokens_details"]["cached_tokens"] == 40
    assert usage.get("completion_tokens_details") == details


def test_anthropic_names_cached_tokens_beside_the_prompt(server: FakeServer) -> None:
    usage = ask(server, headers=COUNTS, model="@anthropic/claude-haiku-4-5", max_tokens=500).json()["usage"]
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (40, 0)


def test_openrouter_says_the_cost() -> None:
    """60 uncached at $1, 40 cached at $0.50 and 30 out at $2 a million: 60 + 20 + 60 = 140 millionths."""
    prices = Prices(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0, cached_usd_per_mtok=0.5)
    with running_gateway(Script(models={"gpt-4o": ModelScript(prices=prices)})) as server:
        usage = ask(server, "openrouter", headers=COUNTS).json()["usage"]
    assert usage["cost"] == pytest.approx(140e-6)
    assert usage["is_byok"] is False


@pytest.mark.parametrize(
    ("model", "fault", "cost"),
    [("openai/gpt-4o:free", "", 0), ("openai/gpt-4o", "no_cost", None), ("nobody/knows", "", None)],
)
def test_openrouters_cost_may_be_zero_or_absent(server: FakeServer, model: str, fault: str, cost: int | None) -> None:
    assert ask(server, "openrouter", model=model, fault=fault).json()["usage"].get("cost") == cost


def test_own_keys_cost_the_fee_only(server: FakeServer) -> None:
    usage = ask(server, "openrouter", fault="byok").json()["usage"]
    assert usage["is_byok"]
    assert usage["cost"] < usage["cost_details"]["upstream_inference_cost"]


def test_a_tool_is_called_with_arguments_that_fit_its_schema(server: FakeServer) -> None:
    reply = ask(server, tools=[TOOL])
    call = message(reply)["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == ("weather", {"city": "text"})
    assert (message(reply)["content"], reply.json()["choices"][0]["finish_reason"]) == (None, "tool_calls")


def test_a_streamed_tool_call_comes_in_pieces(server: FakeServer) -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(ask(server, tools=[TOOL], stream=True).text)]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert calls[0]["function"]["name"] == "weather"
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"city": "text"}


def test_no_tool_is_called_after_its_result(server: FakeServer) -> None:
    messages = [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "a", "content": "sunny"}]
    assert "tool_calls" not in message(ask(server, tools=[TOOL], messages=messages))


def test_gemini_calls_tools_with_finish_reason_stop(server: FakeServer) -> None:
    reply = ask(server, tools=[TOOL], model="@google/gemini-2.5-flash").json()
    assert "tool_calls" in reply["choices"][0]["message"]
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_json_fits_the_schema(server: FakeServer) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert json.loads(message(ask(server, response_format=asked))["content"]) == {"n": 3}


def test_a_limit_of_tokens_cuts_the_text(server: FakeServer) -> None:
    reply = ask(server, max_tokens=5)
    assert count_tokens(message(reply)["content"]) == reply.json()["usage"]["completion_tokens"] == 5
    assert reply.json()["choices"][0]["finish_reason"] == "length"


def test_echo_returns_the_last_user_message(server: FakeServer) -> None:
    assert message(ask(server, headers={"x-fake-echo": "1"}))["content"] == "What is the capital of France?"


def test_the_text_depends_on_no_word_of_the_prompt(server: FakeServer) -> None:
    other = [{"role": "user", "content": "something else"}]
    assert message(ask(server))["content"] == message(ask(server, messages=other))["content"]
