"""Servers without a gateway in between: each provider's own address and key."""

import asyncio
from typing import Any

import pytest

from optimizer.errors import GatewayError, ModelUnavailable
from optimizer.gateway.openai_compatible import OpenAICompatibleClient
from optimizer.gateway.wire import Target
from optimizer.settings.sections import DirectConfig
from optimizer.settings.settings import Settings
from tests.gateway.calls import BODY, asking, call, caught, completed, direct
from tests.gateway.loopback import loopback, refused_port, replying
from tests.gateway.specs import refused

DEEPSEEK = Target("deepseek-v4-flash", "direct", "deepseek-v4-flash", "deepseek")


def test_a_provider_is_asked_at_its_address_with_its_key() -> None:
    _, server = completed(replying(), call(), client=lambda url: direct(url, "sk-openai"))
    asked = server.asked[0]
    assert (asked.path, asked.headers["authorization"]) == ("/v1/chat/completions", "Bearer sk-openai")
    assert asked.body == {"model": "gpt-4o", **BODY}


def test_what_is_sent_is_what_openai_s_document_asks_for() -> None:
    target = Target("gpt-5.4-mini", "direct", "gpt-5.4-mini", "openai", False, True, 128_000)
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    body = {**BODY, "tools": [tool], "max_tokens": 5, "temperature": 0.1}
    _, server = completed(replying(), call(target, body))
    assert refused("openai", server.asked[0].body, path="/chat/completions") == []
    assert server.asked[0].body["reasoning_effort"] == "none"


def test_a_provider_without_an_address_serves_no_model() -> None:
    async def ask(client, server) -> GatewayError:
        return await caught(client.complete(call(DEEPSEEK)))

    error, server = asking(replying(), ask)
    assert (type(error), error.model_id, server.asked) == (ModelUnavailable, "deepseek-v4-flash", [])


def test_a_cost_that_nobody_vouches_for_is_not_taken() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 5.0}
    assert completed(replying({"choices": [{"message": {}}], "usage": usage}))[0].cost_usd is None


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_server_that_answers_is_alive(status: int) -> None:
    _, server = asking(replying({}, status=status), lambda client, _: client.check(1.0))
    assert [(asked.method, asked.path) for asked in server.asked] == [("GET", "/v1/models")]


def test_a_server_that_fails_is_not() -> None:
    async def ask(client, server) -> GatewayError:
        return await caught(client.check(1.0))

    assert asking(replying({}, status=502), ask)[0].kind == "server"


def test_one_of_several_servers_is_enough() -> None:
    async def run() -> int:
        async with loopback(replying({})) as server:
            configs = {
                "openai": DirectConfig(base_url=f"http://127.0.0.1:{refused_port()}/v1"),
                "deepseek": DirectConfig(base_url=server.url),
            }
            client = OpenAICompatibleClient(configs)
            await client.check(1.0)
            await client.aclose()
            return len(server.asked)

    assert asyncio.run(run()) == 1


def test_other_settings_hold_from_the_next_call_on() -> None:
    def settings(**direct_config: Any) -> Settings:
        return Settings(use_cases={"chat": {"candidates": ["gpt-4o"]}}, direct_config=direct_config)

    async def ask(client, server) -> list[str]:
        await client.complete(call())
        client.use(settings(openai={"base_url": server.url, "api_key": "new"}, deepseek={"base_url": server.url}))
        await client.complete(call())
        await client.complete(call(DEEPSEEK))
        return [asked.headers.get("authorization", "") for asked in server.asked]

    assert asking(replying(), ask, client=lambda url: direct(url, "old"))[0] == ["Bearer old", "Bearer new", ""]
