"""What gateways say that models cost: OpenRouter's list of models, and Portkey's answers model by model."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from optimizer.domain import Gateway, Price
from optimizer.errors import InvalidReply
from optimizer.gateway.client import bearer, returned
from optimizer.gateway.failures import failure_of
from optimizer.gateway.keys import KeyRing
from optimizer.gateway.portkey import root_of
from optimizer.gateway.replies import json_object
from optimizer.gateway.transport import Http, caught
from optimizer.settings.sections import OpenRouterConfig, PortkeyConfig

MTOK = 1_000_000
CENTS = 100


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model in OpenRouter's list; None is unknown.

    Attributes
    ----------
    price : Price
        Under usual conditions: prices for certain hours of the day are not in it.
    context_window_tokens, max_output_tokens : int or None
        Of the best provider; another one may allow less.
    retires_on : date or None
    """

    price: Price
    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    retires_on: date | None = None


async def openrouter_prices(http: Http, config: OpenRouterConfig, *, timeout_s: float = 30.0) -> dict[str, ListedModel]:
    """Return every model that OpenRouter lists, by its wire name (`openai/gpt-4o`); no key is needed.

    Raises
    ------
    GatewayError
        Where there is no list.
    """
    key = KeyRing(config.api_key, config.api_key_file).current()
    listed = (await _asked(http, f"{config.base_url}/models", "openrouter", timeout_s, bearer(key)) or {}).get("data")
    if not isinstance(listed, list):
        raise InvalidReply(gateway="openrouter", status=200)
    models = (entry for entry in listed if isinstance(entry, Mapping) and isinstance(entry.get("id"), str))
    return {entry["id"]: _listed_model(entry) for entry in models}


async def portkey_price(
    http: Http, config: PortkeyConfig, provider: str, model: str, *, free: bool = False, timeout_s: float = 30.0
) -> Price | None:
    """Return what Portkey says a provider charges for a model; None where it does not know the model. No key is needed.

    A price of 0 is unknown unless the model is known to be `free`: Portkey writes it for what it has not recorded too.

    Raises
    ------
    GatewayError
        Where there is no answer.
    """
    path = f"model-configs/pricing/{quote(provider, safe='')}/{quote(model, safe='')}"
    found = await _asked(http, root_of(config.base_url) + path, "portkey", timeout_s, {}, missing=404)
    if found is None:
        return None
    tokens = found.get("pay_as_you_go")
    if not isinstance(tokens, Mapping):
        raise InvalidReply(gateway="portkey", status=200)
    return Price(
        input_usd_per_mtok=_of_cents(tokens.get("request_token"), free=free),
        output_usd_per_mtok=_of_cents(tokens.get("response_token"), free=free),
        cached_usd_per_mtok=_of_cents(tokens.get("cache_read_input_token"), free=free),
    )


async def _asked(
    http: Http, url: str, gateway: Gateway, timeout_s: float, headers: Mapping[str, str], *, missing: int | None = None
) -> dict[str, Any] | None:
    """Return the object at an address; None where the status is `missing`."""

    async def ask() -> dict[str, Any] | None:
        async with asyncio.timeout(timeout_s):
            answer = await http.ask("GET", url, headers=headers)
        if answer.status == missing:
            return None
        if answer.status > 299:
            raise failure_of(answer, gateway=gateway)
        found = json_object(answer.content)
        if found is None:
            raise InvalidReply(gateway=gateway, status=answer.status)
        return found

    return returned(await caught(ask(), gateway=gateway))


def _listed_model(entry: Mapping[str, Any]) -> ListedModel:
    pricing, top = entry.get("pricing"), entry.get("top_provider")
    return ListedModel(
        price=_listed_price(pricing) if isinstance(pricing, Mapping) else Price(),
        context_window_tokens=_positive(entry.get("context_length")),
        max_output_tokens=_positive(top.get("max_completion_tokens")) if isinstance(top, Mapping) else None,
        retires_on=_date(entry.get("expiration_date")),
    )


def _listed_price(pricing: Mapping[str, Any]) -> Price:
    prompt, completion = _of_dollars(pricing.get("prompt")), _of_dollars(pricing.get("completion"))
    cached = _of_dollars(pricing.get("input_cache_read"))
    # Free out of the cache, but not else, is rather a price that nobody wrote down.
    known_cached = None if cached == 0.0 and prompt != 0.0 else cached
    return Price(prompt, completion, known_cached, *_long_prices(pricing.get("overrides"), prompt, completion))


def _long_prices(
    overrides: object, prompt: float | None, completion: float | None
) -> tuple[int | None, float | None, float | None]:
    """Return the length above which other prices hold, and these; of several steps the first, at unknown prices."""
    listed = [entry for entry in overrides if isinstance(entry, Mapping)] if isinstance(overrides, list) else []
    always = [entry for entry in listed if "utc_start" not in entry and "utc_end" not in entry]
    steps = [entry for entry in always if _positive(entry.get("min_prompt_tokens")) is not None]
    if not steps:
        return None, None, None
    first = min(int(entry["min_prompt_tokens"]) for entry in steps)
    if len(steps) > 1:
        return first, None, None
    return (
        first,
        _of_dollars(steps[0]["prompt"]) if "prompt" in steps[0] else prompt,
        _of_dollars(steps[0]["completion"]) if "completion" in steps[0] else completion,
    )


def _of_dollars(text: object) -> float | None:
    """Return dollars per million tokens of a decimal text in dollars per token; a negative one is unknown."""
    return _scaled(text, MTOK)


def _of_cents(price: object, *, free: bool) -> float | None:
    """Return dollars per million tokens of a price in US cents per token."""
    cents = price.get("price") if isinstance(price, Mapping) else None
    dollars = _scaled(cents, MTOK // CENTS)
    return None if dollars == 0.0 and not free else dollars


def _scaled(value: object, factor: int) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return float(amount * factor) if amount.is_finite() and 0 <= amount < MTOK else None


def _positive(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 1e12:
        return None
    return int(value)


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None
