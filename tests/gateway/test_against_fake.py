"""The clients against the fake gateway: what each of its faults comes to, in both dialects, whole and streamed."""

import asyncio
from collections.abc import Iterator

import pytest

from optimizer.domain import Gateway, Price
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
from optimizer.gateway.listings import ListedModel, openrouter_prices, portkey_price
from optimizer.gateway.openrouter import OpenRouterClient
from optimizer.gateway.portkey import PortkeyClient
from optimizer.gateway.transport import Http
from optimizer.gateway.wire import ChatCall, GatewayClient, Target
from optimizer.settings.sections import OpenRouterConfig, PortkeyConfig
from optimizer.simulation.fake_gateway import FAULTS, FakeServer, ModelScript, Script, Trouble, running_gateway
from tests.gateway.calls import BODY, read_all, text_of

REFUSED: dict[str, type[GatewayError]] = {
    "rate_limit": RateLimited,
    "rate_limit_bare": RateLimited,
    "gateway_rate_limit": RateLimited,
    "quota": OutOfCredit,
    "key_budget": OutOfCredit,
    "provider_budget": OutOfCredit,
    "unauthorized": Unauthorized,
    "provider_unauthorized": Unauthorized,
    "forbidden": Forbidden,
    "not_found": ModelUnavailable,
    "bad_request": RequestRefused,
    "context_length": ContextLengthExceeded,
    "content_policy": ContentBlocked,
    "gateway_timeout": GatewayTimeout,
    "server_error": ServerFailed,
    "bad_gateway": ServerFailed,
    "unavailable": ServerFailed,
    "timeout_504": GatewayTimeout,
    "edge_timeout": GatewayTimeout,
    "overloaded": ServerFailed,
    "failure_body": ServerFailed,
    "html_message": ServerFailed,
    "html_page": ServerFailed,
    "empty_body": ServerFailed,
    "hang": GatewayTimeout,
    "reset": ConnectionBroken,
    "close": ConnectionBroken,
}
HALVED: dict[str, type[GatewayError]] = {
    "cut": ConnectionBroken,
    "broken": ConnectionBroken,
    "stall": GatewayTimeout,
    "error_midway": ServerFailed,
    "finish_error": ServerFailed,
}
WHOLE = [
    *("no_usage", "no_cost", "byok", "no_done", "split_utf8", "comments", "crlf", "usage_in_every_chunk", "no_index"),
    *("guardrail_warning", "empty", "empty_length", "cut_short", "content_filter", "refusal", "other_model"),
]
SLOW = {"hang", "stall"}
GATEWAYS: list[Gateway] = ["portkey", "openrouter"]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    scripts = {fault: ModelScript(troubles=(Trouble(fault=fault),)) for fault in FAULTS}
    models = scripts | {f"openai/{fault}": script for fault, script in scripts.items()}
    with running_gateway(Script(models=models, time_scale=0.0)) as running:
        yield running


def client_of(server: FakeServer, gateway: Gateway) -> GatewayClient:
    if gateway == "portkey":
        return PortkeyClient(PortkeyConfig(base_url=server.portkey_url, api_key="pk"))
    return OpenRouterClient(OpenRouterConfig(base_url=server.openrouter_url, api_key="sk"))


def call_of(gateway: Gateway, fault: str) -> ChatCall:
    wire_model = f"@openai/{fault}" if gateway == "portkey" else f"openai/{fault}"
    return ChatCall(Target(fault, gateway, wire_model, "openai"), BODY, timeout_s=0.3 if fault in SLOW else 5.0)


def asked(server: FakeServer, gateway: Gateway, fault: str, *, stream: bool):
    async def ask() -> object:
        client = client_of(server, gateway)
        try:
            return await (read_all if stream else _complete)(client, call_of(gateway, fault))
        finally:
            await client.aclose()

    return asyncio.run(ask())


async def _complete(client: GatewayClient, chat: ChatCall) -> object:
    try:
        return await client.complete(chat)
    except GatewayError as error:
        return error


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("fault", REFUSED)
def test_a_call_that_is_refused_is_the_error_that_it_is(server: FakeServer, gateway: Gateway, fault: str) -> None:
    assert type(asked(server, gateway, fault, stream=False)) is REFUSED[fault]
    chunks, error = asked(server, gateway, fault, stream=True)
    assert (chunks, type(error)) == ([], REFUSED[fault])


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("fault", HALVED)
def test_half_a_reply_is_none_and_half_a_stream_is_broken(server: FakeServer, gateway: Gateway, fault: str) -> None:
    assert type(asked(server, gateway, fault, stream=False)) is HALVED[fault]
    chunks, error = asked(server, gateway, fault, stream=True)
    assert text_of(chunks)
    assert type(error) is StreamBroken


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("fault", ["garbage", "not_a_completion"])
def test_what_is_no_completion_is_none(server: FakeServer, gateway: Gateway, fault: str) -> None:
    assert type(asked(server, gateway, fault, stream=False)) is InvalidReply
    assert type(asked(server, gateway, fault, stream=True)[1]) in (InvalidReply, ConnectionBroken)


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("fault", WHOLE)
def test_a_stream_says_what_the_whole_reply_says(server: FakeServer, gateway: Gateway, fault: str) -> None:
    reply = asked(server, gateway, fault, stream=False)
    chunks, error = asked(server, gateway, fault, stream=True)
    assert error is None
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == [reply.finish_reason]
    assert text_of(chunks) == reply.content
    assert [chunk.usage for chunk in chunks if chunk.usage][-1:] == [reply.usage][: reply.usage is not None]
    costs = [chunk.cost_usd for chunk in chunks if chunk.cost_usd is not None]
    assert costs[-1:] == [reply.cost_usd][: reply.cost_usd is not None]


def test_the_policies_of_the_two_gateways_have_statuses_of_their_own(server: FakeServer) -> None:
    assert type(asked(server, "portkey", "model_not_allowed", stream=False)) is Forbidden
    assert type(asked(server, "openrouter", "model_not_allowed", stream=False)) is ModelUnavailable
    assert type(asked(server, "portkey", "guardrail", stream=False)) is ContentBlocked


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_gateway_that_is_up_passes_its_check(server: FakeServer, gateway: Gateway) -> None:
    async def check() -> None:
        client = client_of(server, gateway)
        await client.check(1.0)
        await client.aclose()

    asyncio.run(check())


def test_the_cost_of_a_stream_that_broke_is_learned_afterwards(server: FakeServer) -> None:
    async def ask() -> list[float | None]:
        client = OpenRouterClient(OpenRouterConfig(base_url=server.openrouter_url, api_key="sk"))
        chunks, _ = await read_all(client, call_of("openrouter", "error_midway"))
        found = [await client.generation_cost(chunks[0].body["id"]) for _ in range(2)]
        await client.aclose()
        return found

    first, second = asyncio.run(ask())
    assert first is None
    assert second is not None


def test_ratings_reach_portkey(server: FakeServer) -> None:
    async def rate() -> bool:
        client = PortkeyClient(PortkeyConfig(base_url=server.portkey_url, api_key="pk", feedback=True))
        try:
            return await client.send_feedback("call-1", 0.8)
        finally:
            await client.aclose()

    assert asyncio.run(rate()) is True
    assert [(kept["trace_id"], kept["value"]) for kept in server.feedback.values()] == [("call-1", 6)]


def test_every_model_that_openrouter_lists_has_a_price_or_none(server: FakeServer) -> None:
    async def read() -> dict[str, ListedModel]:
        async with Http() as http:
            return await openrouter_prices(http, OpenRouterConfig(base_url=server.openrouter_url))

    listed = asyncio.run(read())
    assert listed["openai/gpt-4o"].price.output_usd_per_mtok == 10.0
    assert listed["openai/gpt-4o"].context_window_tokens == 128_000


def test_portkey_knows_the_price_of_a_model(server: FakeServer) -> None:
    async def read() -> list[Price | None]:
        config = PortkeyConfig(base_url=server.portkey_url)
        async with Http() as http:
            return [await portkey_price(http, config, "openai", model) for model in ("gpt-4o", "no-such-model")]

    known, unknown = asyncio.run(read())
    assert known is not None
    assert (known.input_usd_per_mtok, unknown) == (2.5, None)
