"""Portkey: what each header says, to whom feedback goes, and that its own document accepts what we send."""

import json
from typing import Any

import pytest

from optimizer.errors import GatewayError, GatewayUnreachable, InvalidRating
from optimizer.gateway.portkey import PortkeyClient, has_slug
from optimizer.gateway.wire import Target
from optimizer.settings.sections import PortkeyConfig
from optimizer.settings.settings import Settings
from tests.gateway.calls import BODY, asking, call, caught, completed, failure, streamed
from tests.gateway.loopback import REPLY, Asked, event, http_reply, one_by_one, replying, streaming, token
from tests.gateway.specs import refused

STORED = Target("claude-haiku-4-5", "portkey", "@my-claude/claude-haiku-4-5", "anthropic", None, None, 64_000)
PLAIN = Target("claude-haiku-4-5", "portkey", "claude-haiku-4-5", "anthropic", None, None, 64_000)
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
FULL = {
    "messages": [
        {"role": "system", "content": "You are brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hello"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
    ],
    "temperature": 0.2,
    "max_tokens": 64,
    "tools": [TOOL],
    "tool_choice": "auto",
    "response_format": {"type": "json_object"},
}


def portkey(**options: Any):
    return lambda url: PortkeyClient(PortkeyConfig(base_url=url, **{"api_key": "pk", **options}))


def asked_with(target: Target = STORED, *, chat: dict[str, Any] | None = None, **options: Any) -> Asked:
    _, server = completed(replying(), call(target, **(chat or {})), client=portkey(**options))
    return server.asked[0]


def test_a_stored_provider_is_asked_with_the_portkey_key_alone() -> None:
    asked = asked_with()
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["x-portkey-api-key"] == "pk"
    assert asked.body["model"] == "@my-claude/claude-haiku-4-5"
    assert not {"authorization", "x-portkey-provider", "x-portkey-config", "x-portkey-trace-id"} & asked.headers.keys()


def test_a_provider_s_own_key_travels_with_the_call() -> None:
    asked = asked_with(PLAIN, api_key="", provider_keys={"anthropic": "sk-ant"})
    assert asked.headers["x-portkey-provider"] == "anthropic"
    assert asked.headers["authorization"] == "Bearer sk-ant"
    assert "x-portkey-api-key" not in asked.headers
    assert asked.body["model"] == "claude-haiku-4-5"


def test_a_provider_s_own_key_goes_beside_the_portkey_key() -> None:
    headers = asked_with(PLAIN, provider_keys={"anthropic": "sk-ant"}).headers
    assert (headers["x-portkey-api-key"], headers["authorization"]) == ("pk", "Bearer sk-ant")


def test_a_key_of_another_provider_stays_at_home() -> None:
    assert "authorization" not in asked_with(PLAIN, provider_keys={"openai": "sk"}).headers


def test_a_provider_s_refused_key_is_tried_with_its_second_one() -> None:
    async def ask(client, server) -> list[tuple[str, str]]:
        await client.complete(call(PLAIN))
        return [(asked.headers["x-portkey-api-key"], asked.headers["authorization"]) for asked in server.asked]

    async def only_new(asked: Asked, writer) -> None:
        accepted = asked.headers["authorization"] == "Bearer new"
        writer.write(
            http_reply(REPLY if accepted else {"error": {}, "provider": "anthropic"}, status=200 if accepted else 401)
        )

    found, _ = asking(only_new, ask, client=portkey(provider_keys={"anthropic": "old,new"}))
    assert found == [("pk", "Bearer old"), ("pk", "Bearer new")]


def test_trace_timeout_and_metadata_are_noted() -> None:
    metadata = {"use_case": "chat", "who": "Zoë", "long": "x" * 200}
    headers = asked_with(
        chat={"trace_id": "call-1", "timeout_s": 2.5, "metadata": metadata}, metadata={"team": "a", "who": "b"}
    ).headers
    assert headers["x-portkey-trace-id"] == "call-1"
    assert headers["x-portkey-request-timeout"] == "2500"
    assert "\\u00eb" in headers["x-portkey-metadata"]
    noted = json.loads(headers["x-portkey-metadata"])
    assert noted == {"team": "a", "use_case": "chat", "who": "Zoë", "long": "x" * 128}


@pytest.mark.parametrize(
    ("config", "sent"), [("pc-12ab", "pc-12ab"), ({"retry": {"attempts": 2}}, '{"retry": {"attempts": 2}}')]
)
def test_a_configuration_is_sent_by_its_name_or_whole(config: Any, sent: str) -> None:
    headers = asked_with(config=config).headers
    assert headers["x-portkey-config"] == sent
    assert "x-portkey-request-timeout" not in headers  # which would override the configuration's own


def test_cache_and_custom_host_are_headers() -> None:
    headers = asked_with(
        PLAIN, cache_namespace="tenant-1", cache_force_refresh=True, custom_host="http://127.0.0.1:1/v1"
    ).headers
    assert headers["x-portkey-cache-namespace"] == "tenant-1"
    assert headers["x-portkey-cache-force-refresh"] == "true"
    assert headers["x-portkey-custom-host"] == "http://127.0.0.1:1/v1"


def test_names_of_models_that_begin_with_at_are_no_slugs() -> None:
    assert has_slug("@openai/gpt-4o")
    assert not has_slug("@cf/meta/llama-3")
    assert not has_slug("gpt-4o")


def test_the_reply_says_who_served_and_a_check_that_failed_is_a_success() -> None:
    served = {**REPLY, "hook_results": {"after_request_hooks": []}}
    reply, _ = completed(
        replying(served, status=246, headers={"x-portkey-provider": "openai"}), call(STORED), client=portkey()
    )
    assert (reply.status, reply.provider, reply.model) == (246, "openai", "gpt-4o-2024-08-06")
    assert (reply.content, reply.cost_usd) == ("Hello.", None)


def test_usage_is_read_as_the_provider_counts() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 105, "cache_read_input_tokens": 90}
    reply, _ = completed(replying({**REPLY, "usage": usage}), call(STORED), client=portkey())
    assert (reply.usage.input_tokens, reply.usage.cached_tokens) == (100, 90)


def test_openrouter_behind_portkey_keeps_its_cost() -> None:
    target = Target("gpt-4o", "portkey", "@openrouter/openai/gpt-4o", "openrouter")
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.25}
    assert completed(replying({**REPLY, "usage": usage}), call(target), client=portkey())[0].cost_usd == 0.25


@pytest.mark.parametrize(("status", "cost"), [("HIT", 0.0), ("SEMANTIC HIT", 0.0), ("MISS", None), ("DISABLED", None)])
def test_what_portkey_had_in_its_cache_costs_nothing(status: str, cost: float | None) -> None:
    head = {"x-portkey-cache-status": status}
    assert completed(replying(headers=head), call(STORED), client=portkey())[0].cost_usd == cost
    said = token("Hi", "stop"), event(choices=[], usage=REPLY["usage"])
    chunks, _ = streamed(streaming(*said, headers=head), call(STORED), client=portkey())
    assert chunks[-1].cost_usd == cost


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("body", [BODY, FULL])
def test_what_is_sent_is_what_portkey_s_document_asks_for(body: dict[str, Any], stream: bool) -> None:
    if stream:
        _, server = asking(streaming(token("Hi", "stop")), lambda client, _: _first(client, body), client=portkey())
    else:
        _, server = completed(replying(), call(STORED, body), client=portkey())
    assert refused("portkey", server.asked[0].body, path="/chat/completions") == []
    assert server.asked[0].body["messages"] == body["messages"]


def rate(value: float, answer: Any = None, **options: Any) -> tuple[Any, list[Asked]]:
    saved = {"status": "success", "message": "Feedback successfully saved", "feedback_ids": ["x"]}
    sent, server = asking(
        answer or replying(saved),
        lambda client, _: client.send_feedback("call-1", value, metadata={"rater": "user"}),
        client=portkey(**{"feedback": True, **options}),
    )
    return sent, server.asked


@pytest.mark.parametrize(("value", "kept"), [(0.0, -10), (0.5, 0), (0.97, 9), (1.0, 10)])
def test_a_rating_becomes_a_whole_number(value: float, kept: int) -> None:
    sent, asked = rate(value)
    assert sent is True
    assert asked[0].path == "/v1/feedback"
    assert asked[0].body == {"trace_id": "call-1", "value": kept, "metadata": {"rater": "user"}}
    assert refused("portkey", asked[0].body, path="/feedback") == []
    assert asked[0].headers["x-portkey-api-key"] == "pk"


def test_a_rating_is_sent_with_the_second_key_where_the_first_is_refused() -> None:
    _, asked = rate(1.0, one_by_one(replying({}, status=401), replying({})), api_key="old,new")
    assert [each.headers["x-portkey-api-key"] for each in asked] == ["old", "new"]


@pytest.mark.parametrize("options", [{"feedback": False}, {"api_key": "", "provider_keys": {"openai": "sk"}}])
def test_no_rating_goes_to_a_gateway_that_would_pass_it_on(options: dict[str, Any]) -> None:
    assert rate(1.0, **options) == (False, [])


def test_a_rating_out_of_range_is_refused_at_home() -> None:
    with pytest.raises(InvalidRating):
        rate(1.5)


def test_a_rating_that_portkey_refuses_is_an_error() -> None:
    async def ask(client, server) -> Exception:
        return await caught(client.send_feedback("call-1", 1.0))

    assert asking(replying({}, status=400), ask, client=portkey(feedback=True))[0].kind == "bad_request"


def checked(answer: Any, **options: Any) -> tuple[Any, list[Asked]]:
    async def ask(client, server) -> str:
        try:
            await client.check(0.2)
        except GatewayError as error:
            return error.kind
        return "alive"

    found, server = asking(answer, ask, client=portkey(**options))
    return found, server.asked


@pytest.mark.parametrize(("status", "found"), [(200, "alive"), (404, "alive"), (500, "server"), (503, "server")])
def test_a_gateway_of_one_s_own_is_alive_if_its_root_answers(status: int, found: str) -> None:
    result, asked = checked(replying(b"hello", status=status))
    assert (result, asked[0].path) == (found, "/")
    assert "x-portkey-api-key" not in asked[0].headers


def test_the_hosted_one_is_reached_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(client, server) -> Exception:
        monkeypatch.setenv("HTTPS_PROXY", server.url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        return await caught(client.check(1.0))

    hosted = PortkeyClient(PortkeyConfig(api_key="pk"))
    error, server = asking(replying(b"", status=502), ask, client=lambda _: hosted)
    assert type(error) is GatewayUnreachable
    assert (server.asked[0].method, server.asked[0].path) == ("CONNECT", "api.portkey.ai:443")


def settings(**portkey_config: Any) -> Settings:
    return Settings(use_cases={"chat": {"candidates": ["gpt-4o"]}}, portkey_config=portkey_config)


def test_other_settings_hold_from_the_next_call_on() -> None:
    async def ask(client, server) -> list[tuple[str, str | None]]:
        await client.complete(call(STORED))
        client.use(settings(base_url=server.url, api_key="pk-2", cache_namespace="b"))
        await client.complete(call(STORED))
        heads = [asked.headers for asked in server.asked]
        return [(head["x-portkey-api-key"], head.get("x-portkey-cache-namespace")) for head in heads]

    assert asking(replying(), ask, client=portkey())[0] == [("pk", None), ("pk-2", "b")]


def test_settings_with_the_same_keys_keep_which_one_works() -> None:
    async def only_new(asked: Asked, writer) -> None:
        accepted = asked.headers["x-portkey-api-key"] == "new"
        writer.write(http_reply(REPLY, status=200 if accepted else 401))

    async def ask(client, server) -> int:
        await client.complete(call(STORED))
        client.use(settings(base_url=server.url, api_key="old,new"))
        await client.complete(call(STORED))
        return len(server.asked)

    assert asking(only_new, ask, client=portkey(api_key="old,new"))[0] == 3


def test_a_key_is_not_in_what_an_error_says() -> None:
    error = failure(replying({}, status=401), call(STORED), client=portkey(api_key="pk-secret"))
    assert "pk-secret" not in f"{error} {error!r} {vars(error)}"


async def _first(client, body: dict[str, Any]) -> None:
    async with client.stream(call(STORED, body)) as stream:
        await anext(stream)
