"""Our Portkey client and the Router through the open-source Portkey gateway itself, in front of the fake provider."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest

from optimizer.domain import NANO_USD
from optimizer.engine import Optimizer
from optimizer.errors import (
    ConnectionBroken,
    ContentBlocked,
    ContextLengthExceeded,
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
from optimizer.gateway.portkey import PortkeyClient
from optimizer.gateway.wire import ChatCall, ChatChunk, Target
from optimizer.router import Reply, Router
from optimizer.settings.sections import PortkeyConfig
from optimizer.simulation.fake_gateway import FakeServer, ModelScript, Script, Trouble
from tests.engine.factory import DEAR, pool
from tests.router.calls import HELLO, complete, run, text_of
from tests.router.conftest import Opened
from tests.router.peer.running import running_peer

T = TypeVar("T")
OPENAI = Target(DEAR, "portkey", DEAR, "openai", max_output_tokens=16_384)


@pytest.fixture(scope="module")
def peer() -> Iterator[str]:
    """The base URL of the gateway; the provider is named with each call."""
    with running_peer() as url:
        yield url


def through(
    peer: str, fake: FakeServer, ask: Callable[[PortkeyClient], Awaitable[T]], host: str = "", **config: Any
) -> T:
    """Return what came of asking through the gateway."""

    async def main() -> T:
        settings = {"base_url": peer, "provider_keys": {"openai": "sk-openai"}, "custom_host": host or fake.portkey_url}
        client = PortkeyClient(PortkeyConfig(**{**settings, **config}))
        try:
            return await ask(client)
        finally:
            await client.aclose()

    return asyncio.run(main())


def call(target: Target = OPENAI, timeout_s: float = 10.0, **body: Any) -> ChatCall:
    return ChatCall(target, {"messages": HELLO, **body}, timeout_s=timeout_s, trace_id="call-1")


async def streamed(client: PortkeyClient, timeout_s: float = 10.0) -> tuple[list[ChatChunk], GatewayError | None]:
    """Return the chunks of a stream, and the error that it ended with."""
    chunks: list[ChatChunk] = []
    try:
        async with client.stream(call(timeout_s=timeout_s)) as events:
            async for chunk in events:
                chunks.append(chunk)  # noqa: PERF401, what came before an error is wanted too
    except GatewayError as error:
        return chunks, error
    return chunks, None


def routed(opened: Opened, peer: str, host: str) -> Optimizer:
    """Return an optimizer that asks gpt-4o through the gateway; OpenRouter is the fake one."""
    config = f"portkey_config: {{provider_keys: {{openai: sk-openai}}, custom_host: '{host}'}}"
    rule = "routing: {retries: 0, rules: [{name: r, condition: 'true', model: gpt-4o}]}"
    text = pool("objective: quality", f"{config}\n{rule}")
    return opened(text, PORTKEY_API_KEY="", PORTKEY_BASE_URL=peer)


# Whole replies


def test_a_reply_comes_through_the_gateway(peer: str, fake: FakeServer) -> None:
    fake.play(Script(echo=True))
    reply = through(peer, fake, lambda client: client.complete(call()))
    assert (reply.content, reply.provider, reply.model, reply.status) == ("Say hello.", "openai", DEAR, 200)
    assert reply.usage is not None


def test_the_provider_gets_its_key_and_nothing_of_ours(peer: str, fake: FakeServer) -> None:
    through(peer, fake, lambda client: client.complete(call()))
    headers = fake.requests[-1].headers
    assert headers["authorization"] == "Bearer sk-openai"
    assert not [name for name in headers if name.startswith("x-portkey")]


def test_what_the_gateway_does_not_know_of_openai_gets_lost(peer: str, fake: FakeServer) -> None:
    known = {"seed": 1, "stop": ["x"], "response_format": {"type": "json_object"}, "user": "u", "max_tokens": 9}
    through(peer, fake, lambda client: client.complete(call(**known, top_k=3, reasoning={"effort": "low"})))
    assert fake.requests[-1].body == {"model": DEAR, "messages": HELLO, **known}


def test_a_check_finds_the_gateway_alive(peer: str, fake: FakeServer) -> None:
    through(peer, fake, lambda client: client.check(5.0))


def test_the_gateway_retries_and_falls_back_as_its_configuration_says(peer: str, fake: FakeServer) -> None:
    second = {"provider": "openai", "api_key": "sk-2", "override_params": {"model": "gpt-4o-mini"}}
    config = {"strategy": {"mode": "fallback"}, "targets": [{"provider": "openai", "api_key": "sk-1"}, second]}
    fake.play(Script(models={DEAR: ModelScript(troubles=(Trouble(fault="server_error"),))}))
    reply = through(peer, fake, lambda client: client.complete(call()), config=config)
    assert reply.model == "gpt-4o-mini"
    assert [request.headers["authorization"] for request in fake.requests] == ["Bearer sk-1", "Bearer sk-2"]


def test_a_timeout_of_the_configuration_holds(peer: str, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="hang"),)))
    with pytest.raises(GatewayTimeout) as caught:
        through(peer, fake, lambda client: client.complete(call()), config={"request_timeout": 500})
    assert caught.value.status == 408


# Errors

FAILURES = [
    ("rate_limit:7", RateLimited, 429, "openai"),
    ("quota", OutOfCredit, 429, "openai"),
    ("provider_unauthorized", Unauthorized, 401, "openai"),
    ("not_found", ModelUnavailable, 404, "openai"),
    ("bad_request", RequestRefused, 400, "openai"),
    ("context_length", ContextLengthExceeded, 400, "openai"),
    ("content_policy", ContentBlocked, 400, "openai"),
    ("server_error", ServerFailed, 500, "openai"),
    ("html_page", ServerFailed, 502, "openai"),
    ("empty_body", ServerFailed, 502, "openai"),
    ("timeout_504", GatewayTimeout, 504, "openai"),
    ("reset", ConnectionBroken, 500, "openai"),
    ("close", ConnectionBroken, 500, "openai"),
]


@pytest.mark.parametrize(("fault", "kind", "status", "provider"), FAILURES)
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_provider_s_failure_keeps_its_meaning(
    peer: str, fake: FakeServer, fault: str, kind: type[GatewayError], status: int, provider: str, is_stream: bool
) -> None:
    fake.play(Script(troubles=(Trouble(fault=fault),)))

    async def ask(client: PortkeyClient) -> GatewayError | None:
        if is_stream:
            return (await streamed(client))[1]
        with pytest.raises(GatewayError) as caught:
            await client.complete(call())
        return caught.value

    error = through(peer, fake, ask)
    assert (type(error), error and error.status, error and error.provider) == (kind, status, provider)
    assert error is not None
    assert error.retry_after_s == (7.0 if kind is RateLimited else None)
    assert not error.gateway_wide  # the gateway is well


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("cut", ConnectionBroken),
        ("broken", ConnectionBroken),
        ("garbage", ConnectionBroken),
        ("not_a_completion", InvalidReply),
    ],
)
def test_a_reply_that_breaks_behind_the_gateway_may_be_charged(
    peer: str, fake: FakeServer, fault: str, kind: type[GatewayError]
) -> None:
    fake.play(Script(troubles=(Trouble(fault=fault),)))
    with pytest.raises(kind):
        through(peer, fake, lambda client: client.complete(call()))


def test_a_provider_that_nobody_listens_at_is_a_failed_server(peer: str, fake: FakeServer) -> None:
    with fake.refusing(), pytest.raises(ServerFailed) as caught:
        through(peer, fake, lambda client: client.complete(call()))
    assert (caught.value.status, caught.value.gateway_wide) == (500, False)


@pytest.mark.parametrize(
    ("target", "config"),
    [
        (Target(DEAR, "portkey", f"@stored/{DEAR}", "openai"), {}),  # it stores no providers,
        (OPENAI, {"config": "pc-1"}),  # no configurations,
        (OPENAI, {"host": "http://provider.invalid/v1"}),  # and trusts no host but this
    ],
)
def test_what_only_the_hosted_gateway_can_do_is_told_as_such(
    peer: str, fake: FakeServer, target: Target, config: dict[str, Any]
) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        through(peer, fake, lambda client: client.complete(call(target)), **config)
    assert caught.value.code == "gateway_configuration"


# Streams


@pytest.mark.parametrize("fault", ["no_done", "comments", "crlf", "split_utf8", "no_index", "usage_in_every_chunk"])
def test_a_stream_is_whole_however_it_is_written(peer: str, fake: FakeServer, fault: str) -> None:
    fake.play(Script(troubles=(Trouble(fault=fault),)))
    chunks, error = through(peer, fake, streamed)
    assert error is None
    assert chunks[-1].usage is not None
    assert len([chunk for chunk in chunks if chunk.text]) == chunks[-1].usage.output_tokens


@pytest.mark.parametrize("fault", ["cut", "broken", "ends_early", "error_midway"])
def test_a_stream_that_breaks_behind_the_gateway_is_broken(peer: str, fake: FakeServer, fault: str) -> None:
    fake.play(Script(troubles=(Trouble(fault=fault),)))
    chunks, error = through(peer, fake, streamed)
    assert isinstance(error, StreamBroken)
    assert any(chunk.text for chunk in chunks)


def test_a_stream_that_stalls_behind_the_gateway_is_given_up(peer: str, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="stall"),)))
    _, error = through(peer, fake, lambda client: streamed(client, timeout_s=0.3))
    assert isinstance(error, StreamBroken)
    assert error.code == "timeout"


# The Router


def test_the_router_prices_what_came_through_the_gateway(opened: Opened, peer: str, fake: FakeServer) -> None:
    opt = routed(opened, peer, fake.portkey_url)
    reply = complete(opt)
    assert (reply.model, reply.provider, reply.cost_source) == (DEAR, "portkey", "priced")
    (served,) = fake.served
    assert served.cost_usd is not None
    assert opt.call(reply.call_id).attempts[0].cost_nano_usd == round(served.cost_usd * NANO_USD)


def test_the_router_streams_through_the_gateway(opened: Opened, peer: str, fake: FakeServer) -> None:
    fake.play(Script(echo=True))
    text, reply = run(routed(opened, peer, fake.portkey_url), text_of)
    assert (text, reply.provider, reply.cost_source) == ("Say hello.", "portkey", "priced")


def test_many_calls_at_once_come_through_the_gateway(opened: Opened, peer: str, fake: FakeServer) -> None:
    opt = routed(opened, peer, fake.portkey_url)
    requests = [{"messages": HELLO, "use_case": "chat"}] * 60

    async def many(router: Router) -> list[Reply | Exception]:
        return await router.complete_many(requests, max_concurrency=16)

    assert [reply.provider for reply in run(opt, many) if isinstance(reply, Reply)] == ["portkey"] * 60


def test_openrouter_serves_where_the_provider_behind_the_gateway_is_dead(
    opened: Opened, peer: str, fake: FakeServer
) -> None:
    fake.play(Script(troubles=(Trouble(fault="reset", gateway="direct"),)))
    reply = complete(routed(opened, peer, fake.portkey_url), model=DEAR)
    assert [attempt.gateway for attempt in reply.attempts] == ["portkey", "openrouter"]
    first = reply.attempts[0]
    assert (first.error_kind, first.status, first.cost_source) == ("connection_broken", 500, "estimated")
