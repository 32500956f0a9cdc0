"""What is sent: as the model wants it, with everything that the caller gave, which stays as it was."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.gateway.bodies import body_of, limit_name
from optimizer.gateway.wire import ChatCall, Target
from tests.gateway.calls import BODY, call

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(1, 9) | st.text("ab 1€", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab 1€", max_size=3), inner, max_size=2),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["max_tokens", "max_completion_tokens", "temperature", "top_p", "tools", "stream_options", "reasoning_effort", "x"]
)
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
CLAUDE = Target("claude-sonnet-4-6", "portkey", "@anthropic/claude-sonnet-4-6", "anthropic", True, True, 64_000)
GPT_5_4 = Target("gpt-5.4-mini", "openrouter", "openai/gpt-5.4-mini:nitro", "openai", False, True, 128_000)
GPT_4O = Target("gpt-4o", "portkey", "@openai/gpt-4o", "openai", True, False, 16_384)


def sent(target: Target, body: dict[str, Any] | None = None, *, stream: bool = False, **options: Any) -> dict[str, Any]:
    return body_of(call(target, {**BODY, **(body or {})}, **options), stream=stream)


def test_the_model_is_named_as_the_gateway_knows_it() -> None:
    assert sent(GPT_4O) == {"model": "@openai/gpt-4o", **BODY}


@pytest.mark.parametrize(
    ("wire_model", "provider", "name"),
    [
        ("gpt-4o", "openai", "max_tokens"),
        ("openai/gpt-4o-mini", "openai", "max_tokens"),
        ("gpt-5", "openai", "max_completion_tokens"),
        ("openai/gpt-5.4-nano:floor", "openai", "max_completion_tokens"),
        ("@mine/gpt-6-sol", "openai", "max_completion_tokens"),
        ("@openrouter/openai/o3-mini", "openrouter", "max_completion_tokens"),
        ("o1", "azure-openai", "max_completion_tokens"),
        ("gpt-35-turbo", "azure-openai", "max_tokens"),
        ("openai/gpt-oss-120b", "groq", "max_tokens"),
        ("claude-haiku-4-5", "anthropic", "max_tokens"),
        ("gemini-3.5-flash", "google", "max_tokens"),
    ],
)
def test_the_limit_has_the_name_that_the_model_knows(wire_model: str, provider: str, name: str) -> None:
    target = Target("any", "portkey", wire_model, provider)
    assert limit_name(target) == name
    assert sent(target, {"max_tokens": 5})[name] == 5
    assert sent(target, {"max_completion_tokens": 5})[name] == 5


def test_a_reasoning_model_under_another_name_takes_openai_s_limit() -> None:
    assert limit_name(Target("any", "portkey", "my-deployment", "azure-openai", None, True)) == "max_completion_tokens"


def test_the_call_s_limit_holds_over_the_body_s() -> None:
    assert sent(GPT_4O, {"max_tokens": 500}, max_tokens=64)["max_tokens"] == 64


def test_no_limit_is_sent_above_what_the_model_can_do() -> None:
    assert sent(GPT_4O, {"max_tokens": 100_000})["max_tokens"] == 16_384


def test_claude_always_has_a_limit() -> None:
    assert sent(CLAUDE)["max_tokens"] == 64_000
    assert sent(CLAUDE, {"max_tokens": 7})["max_tokens"] == 7
    assert sent(Target("claude-9", "openrouter", "anthropic/claude-9", "anthropic"))["max_tokens"] == 4096


def test_others_go_without_a_limit_where_none_is_asked_for() -> None:
    assert not {"max_tokens", "max_completion_tokens"} & sent(GPT_4O).keys()


def test_the_call_s_temperature_holds_over_the_body_s() -> None:
    assert sent(GPT_4O, {"temperature": 1.0})["temperature"] == 1.0
    assert sent(GPT_4O, {"temperature": 1.0}, temperature=0.0)["temperature"] == 0.0


def test_sampling_is_left_out_where_the_model_accepts_none() -> None:
    found = sent(GPT_5_4, {"temperature": 1.0, "top_p": 0.5, "presence_penalty": 1}, temperature=0.3)
    assert not {"temperature", "top_p", "presence_penalty"} & found.keys()


def test_gpt_5_4_uses_tools_without_reasoning() -> None:
    assert sent(GPT_5_4, {"tools": [TOOL]})["reasoning_effort"] == "none"
    assert sent(GPT_5_4, {"tools": [TOOL], "reasoning_effort": "low"})["reasoning_effort"] == "low"
    assert "reasoning_effort" not in sent(GPT_5_4, {"tools": [TOOL], "reasoning": {"effort": "high"}})
    assert "reasoning_effort" not in sent(GPT_5_4, {"tools": []})
    assert "reasoning_effort" not in sent(GPT_4O, {"tools": [TOOL]})
    assert "reasoning_effort" not in sent(Target("gpt-5", "portkey", "gpt-5", "openai"), {"tools": [TOOL]})


def test_a_stream_asks_for_its_usage_beside_the_caller_s_options() -> None:
    found = sent(GPT_4O, {"stream_options": {"include_obfuscation": False}}, stream=True)
    assert found["stream"] is True
    assert found["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_a_whole_reply_is_asked_for_without_a_word_of_streams() -> None:
    found = sent(GPT_4O, {"stream": True, "stream_options": {"include_usage": True}})
    assert not {"stream", "stream_options"} & found.keys()


@given(st.dictionaries(NAMES, VALUES), st.booleans(), st.sampled_from([CLAUDE, GPT_5_4, GPT_4O]))
def test_the_caller_s_body_stays_as_it_was_and_unknown_fields_pass(
    fields: dict[str, Any], stream: bool, target: Target
) -> None:
    body = {**BODY, **fields, "vendor_extra": [{"deep": fields}]}
    before = deepcopy(body)
    found = body_of(ChatCall(target, body), stream=stream)
    assert body == before
    assert found["vendor_extra"] is body["vendor_extra"]
    assert found["messages"] is body["messages"]
