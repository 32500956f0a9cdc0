"""From settings to clients and targets."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from optimizer.catalog import load_catalog
from optimizer.errors import InvalidRequest, UnknownModel
from optimizer.gateway.opening import open_gateways, target_of, use_settings
from optimizer.settings.settings import Settings
from tests.gateway.calls import call, completed, direct
from tests.gateway.loopback import replying

CATALOG = load_catalog()
NOW = datetime(2026, 11, 24, tzinfo=UTC)
OWN = "http://127.0.0.1:8787/v1"


def settings(**options: Any) -> Settings:
    return Settings(use_cases={"chat": {"candidates": ["gpt-4o"]}}, **options)


def wire_name(key: str = "claude-haiku-4-5", gateway: Any = "portkey", **options: Any) -> str:
    candidate = CATALOG.candidate(key, gateway, NOW)
    return target_of(CATALOG, settings(**options), candidate).wire_model


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, []),
        ({"portkey_config": {"api_key": "pk"}}, ["portkey"]),
        ({"portkey_config": {"base_url": OWN}}, ["portkey"]),
        ({"openrouter_config": {"api_key_file": "keys"}}, ["openrouter"]),
        ({"direct_config": {"openai": {"base_url": OWN}}}, ["direct"]),
    ],
)
def test_a_gateway_is_opened_where_it_is_usable(options: dict[str, Any], names: list[str]) -> None:
    clients = open_gateways(settings(**options))
    assert list(clients) == names
    assert [client.name for client in clients.values()] == names


def test_new_settings_keep_the_clients_that_stay() -> None:
    before = open_gateways(settings(portkey_config={"api_key": "a"}, openrouter_config={"api_key": "a"}))
    after = use_settings(before, settings(portkey_config={"api_key": "b"}, direct_config={"openai": {"base_url": OWN}}))
    assert list(after) == ["portkey", "direct"]
    assert after["portkey"] is before["portkey"]


def test_a_target_has_what_must_be_known_to_ask_it() -> None:
    target = target_of(CATALOG, settings(), CATALOG.candidate("gpt-5.4-mini", "openrouter", NOW))
    assert (target.model_id, target.gateway, target.provider) == ("gpt-5.4-mini", "openrouter", "openai")
    assert (target.accepts_temperature, target.is_reasoning) == (False, True)
    assert target.max_output_tokens == 128_000


def test_portkey_knows_a_model_by_where_its_key_is_stored() -> None:
    account = {"api_key": "pk"}
    assert wire_name(portkey_config=account) == "@anthropic/claude-haiku-4-5"
    for stored in ("mine", "@mine"):
        named = {**account, "virtual_keys": {"anthropic": stored}}
        assert wire_name(portkey_config=named) == "@mine/claude-haiku-4-5"
    assert wire_name(portkey_config={"base_url": OWN, "api_key_file": "keys"}) == "@anthropic/claude-haiku-4-5"


def test_a_model_keeps_its_plain_name_where_nothing_is_stored() -> None:
    assert wire_name(portkey_config={"base_url": OWN}) == "claude-haiku-4-5"
    own_key = {"api_key": "pk", "provider_keys": {"anthropic": "sk"}}
    assert wire_name(portkey_config=own_key) == "claude-haiku-4-5"


def test_openrouter_and_direct_servers_have_names_of_their_own() -> None:
    assert wire_name(gateway="openrouter") == "anthropic/claude-haiku-4.5"
    assert wire_name(gateway="direct") == "claude-haiku-4-5"


@pytest.mark.parametrize("suffix", ["nitro", ":nitro"])
def test_openrouter_s_names_may_have_a_suffix(suffix: str) -> None:
    options = {"openrouter_config": {"api_key": "sk", "suffixes": {"claude-haiku-4-5": suffix}}}
    assert wire_name(gateway="openrouter", **options) == "anthropic/claude-haiku-4.5:nitro"
    assert wire_name(gateway="direct", **options) == "claude-haiku-4-5"


def test_a_model_that_a_gateway_does_not_offer_has_no_target() -> None:
    with pytest.raises(UnknownModel):
        wire_name("claude-3-opus", gateway="openrouter")


def test_the_name_of_a_stored_key_is_not_shown() -> None:
    options = {"portkey_config": {"api_key": "pk", "virtual_keys": {"openai": "openai-a1b2c3"}}}
    target = target_of(CATALOG, settings(**options), CATALOG.candidate("gpt-4o", "portkey", NOW))
    assert "a1b2c3" not in repr(target)
    assert "hello" not in repr(call(target))


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_a_body_that_is_no_json_is_the_caller_s_mistake(value: object) -> None:
    with pytest.raises(InvalidRequest, match="body"):
        completed(replying(), call(body={"messages": [], "seed": value}), client=direct)


def test_clients_that_were_never_used_close() -> None:
    async def run() -> None:
        for client in open_gateways(settings(portkey_config={"api_key": "a"})).values():
            await client.aclose()

    asyncio.run(run())
