"""OpenRouter: preferences, fallbacks and attribution go out, cost and errors come back."""

from typing import Any

import pytest

from optimizer.errors import GatewayError, RateLimited, ServerFailed, StreamBroken
from optimizer.gateway.openrouter import OpenRouterClient
from optimizer.gateway.wire import Target
from optimizer.settings.sections import OpenRouterConfig
from optimizer.settings.settings import Settings
from tests.gateway.calls import BODY, asking, call, caught, completed, failure, streamed
from tests.gateway.loopback import REPLY, Asked, event, one_by_one, replying, streaming, token
from tests.gateway.specs import refused

TARGET = Target("gpt-4o", "openrouter", "openai/gpt-4o:nitro", "openai")
USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 3,
    "total_tokens": 15,
    "cost": 0.0000036,
    "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": 4},
    "cost_details": {"upstream_inference_cost": None},
}
SERVED = {**REPLY, "model": "openai/gpt-4o-mini", "provider": "Google AI Studio", "usage": USAGE}


def openrouter(**options: Any):
    return lambda url: OpenRouterClient(OpenRouterConfig(base_url=url, **{"api_key": "sk-or", **options}))


def asked_with(body: dict[str, Any] | None = None, *, fallbacks: tuple[str, ...] = (), **options: Any) -> Asked:
    chat = call(TARGET, body, fallback_models=fallbacks, trace_id="call-1", metadata={"a": "b"})
    return completed(replying(SERVED), chat, client=openrouter(**options))[1].asked[0]


def test_the_key_goes_out_and_nothing_of_portkey_s() -> None:
    asked = asked_with()
    assert asked.headers["authorization"] == "Bearer sk-or"
    assert asked.body == {"model": "openai/gpt-4o:nitro", **BODY}
    assert not [name for name in asked.headers if name.startswith("x-portkey")]


def test_calls_are_attributed_where_the_settings_say_to_what() -> None:
    headers = asked_with(referer="https://example.com", title="Büro").headers
    assert headers["http-referer"] == "https://example.com"
    assert headers["x-openrouter-title"] == "B\\u00fcro"


def test_preferences_of_the_call_hold_over_those_of_the_settings() -> None:
    settings = {"order": ["openai"], "data_collection": "deny", "max_price": {"prompt": 1.5}}
    asked = asked_with({**BODY, "provider": {"order": ["azure"]}}, provider=settings)
    assert asked.body["provider"] == {"order": ["azure"], "data_collection": "deny", "max_price": {"prompt": "1.5"}}


@pytest.mark.parametrize(("send", "models"), [(True, ["anthropic/claude-haiku-4.5"]), (False, None)])
def test_fallbacks_are_named_where_the_settings_say_so(send: bool, models: list[str] | None) -> None:
    asked = asked_with(fallbacks=("anthropic/claude-haiku-4.5",), send_fallback_models=send)
    assert asked.body.get("models") == models


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_sent_is_what_openrouter_s_document_asks_for(stream: bool) -> None:
    body = {**BODY, "temperature": 0.5, "max_tokens": 9, "reasoning": {"effort": "low"}, "top_k": 3}
    options = {"provider": {"sort": "price", "max_price": {"prompt": 1}}, "send_fallback_models": True}
    chat = call(TARGET, body, fallback_models=("openai/gpt-4o-mini",))

    async def ask(client, server) -> None:
        if not stream:
            await client.complete(chat)
            return
        async with client.stream(chat) as chunks:
            await anext(chunks)

    answer = streaming(token("Hi", "stop")) if stream else replying(SERVED)
    _, server = asking(answer, ask, client=openrouter(**options))
    assert refused("openrouter", server.asked[0].body, path="/chat/completions") == []
    assert server.asked[0].body["top_k"] == 3


def test_the_reply_tells_cost_usage_and_who_served() -> None:
    reply, _ = completed(replying(SERVED), call(TARGET), client=openrouter())
    assert (reply.model, reply.provider, reply.cost_usd) == ("openai/gpt-4o-mini", "Google AI Studio", 0.0000036)
    assert (reply.usage.input_tokens, reply.usage.cached_tokens) == (12, 4)


def test_a_stream_tells_its_cost_with_its_last_chunk() -> None:
    said = streaming(token("Hi"), token("", "stop"), event(choices=[], usage=USAGE), b"data: [DONE]\n\n")
    chunks, error = streamed(said, call(TARGET), client=openrouter())
    assert error is None
    assert [chunk.cost_usd for chunk in chunks] == [None, None, 0.0000036]


def test_an_error_inside_a_reply_of_200_is_that_error() -> None:
    body = {**SERVED, "choices": [{"index": 0, "finish_reason": "error", "error": {"code": 429}, "message": {}}]}
    assert type(failure(replying(body), call(TARGET), client=openrouter())) is RateLimited


def test_an_error_in_the_middle_of_a_stream_breaks_it() -> None:
    said = {"code": "server_error", "message": "Provider disconnected"}
    choices = [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]
    chunks, error = streamed(
        streaming(token("Hi"), event(error=said, choices=choices)), call(TARGET), client=openrouter()
    )
    assert (type(error), error.code) == (StreamBroken, "server_error")
    assert [chunk.text for chunk in chunks] == ["Hi"]


@pytest.mark.parametrize(("keys", "path"), [("sk-or", "/v1/key"), ("", "/v1/models")])
def test_the_check_costs_nothing(keys: str, path: str) -> None:
    _, server = asking(replying({"data": {}}), lambda client, _: client.check(1.0), client=openrouter(api_key=keys))
    assert [(asked.method, asked.path) for asked in server.asked] == [("GET", path)]


@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (500, "server"), (429, "rate_limit")])
def test_the_check_says_what_is_wrong(status: int, kind: str) -> None:
    async def ask(client, server) -> GatewayError:
        return await caught(client.check(1.0))

    assert asking(replying({}, status=status), ask, client=openrouter())[0].kind == kind


def test_the_cost_of_a_generation_is_unknown_until_it_is_written_down() -> None:
    async def ask(client, server) -> list[float | None]:
        return [await client.generation_cost("gen-1 &x"), await client.generation_cost("gen-1")]

    answers = one_by_one(replying({}, status=404), replying({"data": {"total_cost": 0.02}}))
    found, server = asking(answers, ask, client=openrouter())
    assert found == [None, 0.02]
    assert server.asked[0].path == "/v1/generation?id=gen-1+%26x"


def test_the_cost_of_a_generation_may_fail() -> None:
    async def ask(client, server) -> GatewayError:
        return await caught(client.generation_cost("gen-1"))

    assert type(asking(replying({}, status=500), ask, client=openrouter())[0]) is ServerFailed


def test_other_settings_hold_from_the_next_call_on() -> None:
    async def ask(client, server) -> list[str]:
        await client.complete(call(TARGET))
        config = {"base_url": server.url, "api_key": "sk-2"}
        client.use(Settings(use_cases={"chat": {"candidates": ["gpt-4o"]}}, openrouter_config=config))
        await client.complete(call(TARGET))
        return [asked.headers["authorization"] for asked in server.asked]

    assert asking(replying(SERVED), ask, client=openrouter())[0] == ["Bearer sk-or", "Bearer sk-2"]
