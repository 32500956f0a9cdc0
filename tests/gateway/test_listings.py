"""Lists of prices: what they say, what they leave open, and what is rubbish."""

from datetime import date
from typing import Any

import pytest

from optimizer.domain import Price
from optimizer.errors import GatewayError, InvalidReply, RateLimited
from optimizer.gateway.listings import ListedModel, openrouter_prices, portkey_price
from optimizer.gateway.transport import Http
from optimizer.settings.sections import OpenRouterConfig, PortkeyConfig
from tests.gateway.calls import asking, caught
from tests.gateway.loopback import Answering, replying
from tests.gateway.specs import refused

ENTRY = {
    "id": "openai/gpt-4o-mini",
    "context_length": 128_000,
    "pricing": {"prompt": "0.00000015", "completion": "0.0000006", "input_cache_read": "0.000000075"},
    "top_provider": {"context_length": 128_000, "max_completion_tokens": 16_384, "is_moderated": True},
    "expiration_date": "2027-01-31",
}


def listed(*entries: object, answer: Answering | None = None) -> dict[str, ListedModel]:
    async def ask(http: Http, server) -> dict[str, ListedModel]:
        return await openrouter_prices(http, OpenRouterConfig(base_url=server.url))

    return asking(answer or replying({"data": list(entries)}), ask, client=lambda _: Http())[0]


def price(**pricing: Any) -> Price:
    return listed({**ENTRY, "pricing": {**ENTRY["pricing"], **pricing}})["openai/gpt-4o-mini"].price


def test_prices_windows_and_retirement_are_listed() -> None:
    """$0.00000015 per token are $0.15 per million."""
    wanted = ListedModel(Price(0.15, 0.6, 0.075), 128_000, 16_384, date(2027, 1, 31))
    assert listed(ENTRY) == {"openai/gpt-4o-mini": wanted}


def test_what_is_not_listed_is_unknown() -> None:
    bare = {"id": "a/b", "pricing": {"prompt": "0.000001"}}
    assert listed(bare, {"id": "a/c"}) == {"a/b": ListedModel(Price(1.0)), "a/c": ListedModel(Price())}


@pytest.mark.parametrize("text", ["-1", "", "a lot", None, True, "NaN", "Infinity", "1e999"])
def test_a_price_that_is_none_is_unknown(text: object) -> None:
    assert price(prompt=text).input_usd_per_mtok is None


def test_free_is_free() -> None:
    free = price(prompt="0", completion="0", input_cache_read="0")
    assert free == Price(0.0, 0.0, 0.0)


def test_free_out_of_the_cache_alone_is_not_believed() -> None:
    assert price(input_cache_read="0").cached_usd_per_mtok is None


def test_dearer_long_prompts_are_listed_and_inherit_what_they_do_not_say() -> None:
    long = price(overrides=[{"min_prompt_tokens": 200_000, "prompt": "0.0000003"}])
    assert (long.long_over_tokens, long.long_input_usd_per_mtok, long.long_output_usd_per_mtok) == (200_000, 0.3, 0.6)


def test_several_steps_are_unknown_above_the_first() -> None:
    steps = [{"min_prompt_tokens": n, "prompt": "0.000001"} for n in (200_000, 100_000)]
    stepped = price(overrides=steps)
    assert (stepped.long_over_tokens, stepped.long_input_usd_per_mtok) == (100_000, None)


def test_prices_by_the_hour_are_left_out() -> None:
    at_night = {"utc_start": 100, "utc_end": 400, "prompt": "0.1", "min_prompt_tokens": 5}
    assert price(overrides=[at_night]) == Price(0.15, 0.6, 0.075)


@pytest.mark.parametrize("body", [{}, {"data": {}}, b"<html>", []])
def test_what_is_no_list_is_an_invalid_reply(body: object) -> None:
    with pytest.raises(InvalidReply):
        listed(answer=replying(body))


def test_rubbish_in_the_list_is_passed_over() -> None:
    assert list(listed(7, {"id": 3}, {}, ENTRY)) == ["openai/gpt-4o-mini"]


PRICED = {
    "pay_as_you_go": {
        "request_token": {"price": 0.00025},
        "response_token": {"price": 0.001},
        "cache_read_input_token": {"price": 0.000125},
    },
    "currency": "USD",
}


def portkey(answer: Answering, *, free: bool = False) -> tuple[Price | None, str]:
    async def ask(http: Http, server) -> Price | None:
        config = PortkeyConfig(base_url=server.url)
        return await portkey_price(http, config, "openai", "gpt-4o/x", free=free)

    found, server = asking(answer, ask, client=lambda _: Http())
    return found, server.asked[0].path


def test_portkey_s_prices_are_cents_per_token() -> None:
    """0.00025 cents per token are $2.50 per million."""
    assert (
        refused("portkey-models", PRICED, path="/model-configs/pricing/{provider}/{model}", method="get", status=200)
        == []
    )
    found, path = portkey(replying(PRICED))
    assert found == Price(2.5, 10.0, 1.25)
    assert path == "/model-configs/pricing/openai/gpt-4o%2Fx"


def test_portkey_s_zero_is_unknown_unless_the_model_is_free() -> None:
    zero = {"pay_as_you_go": {"request_token": {"price": 0}, "response_token": {"price": 0}}}
    assert portkey(replying(zero))[0] == Price()
    assert portkey(replying(zero), free=True)[0] == Price(0.0, 0.0)


def test_a_model_that_portkey_does_not_know_has_no_price() -> None:
    assert portkey(replying({"error": "Model not found"}, status=404))[0] is None


@pytest.mark.parametrize(("answer", "kind"), [(replying({}, status=429), RateLimited), (replying([]), InvalidReply)])
def test_portkey_may_fail_to_answer(answer: Answering, kind: type[GatewayError]) -> None:
    async def ask(http: Http, server) -> GatewayError:
        return await caught(portkey_price(http, PortkeyConfig(base_url=server.url), "openai", "gpt-4o"))

    assert type(asking(answer, ask, client=lambda _: Http())[0]) is kind
