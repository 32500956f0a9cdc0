"""OpenRouter: its preferences among providers, its own fallbacks, and what a generation cost."""

import asyncio
from collections.abc import Mapping
from typing import Any

from optimizer.domain import Gateway
from optimizer.errors import ModelUnavailable
from optimizer.gateway.client import HttpGateway, Keys, bearer, returned, with_keys
from optimizer.gateway.keys import KeyRing
from optimizer.gateway.replies import json_object
from optimizer.gateway.transport import caught
from optimizer.gateway.usage import dollars_of
from optimizer.gateway.wire import ChatCall, Target
from optimizer.settings.sections import OpenRouterConfig
from optimizer.settings.settings import Settings


class OpenRouterClient(HttpGateway):
    """OpenRouter. `use` makes another configuration hold for the calls that begin after it."""

    name: Gateway = "openrouter"

    def __init__(self, config: OpenRouterConfig) -> None:
        super().__init__()
        self._config = config
        self._ring = KeyRing(config.api_key, config.api_key_file)

    def use(self, settings: Settings) -> None:
        """Go on with these settings."""
        config = settings.openrouter_config
        if not self._ring.same_as(config.api_key, config.api_key_file):
            self._ring = KeyRing(config.api_key, config.api_key_file)
        self._config = config

    async def generation_cost(self, generation_id: str, *, timeout_s: float = 10.0) -> float | None:
        """Return what a generation cost in dollars, that of a broken stream too; None while it is not known yet.

        The id is that of the reply or chunk (`gen-…`).
        """
        found = await caught(self._generation_cost(generation_id, timeout_s), gateway=self.name)
        return None if isinstance(found, ModelUnavailable) else returned(found)

    def _rings(self, target: Target) -> tuple[KeyRing, ...]:  # noqa: ARG002, one account for all
        return (self._ring,)

    def _url(self, target: Target) -> str:  # noqa: ARG002, one address for all
        return self._config.base_url

    def _headers(self, call: ChatCall, keys: Keys) -> dict[str, str]:  # noqa: ARG002, every call has the same
        headers = bearer(keys[0])
        if self._config.referer is not None:
            headers["http-referer"] = self._config.referer
        if self._config.title is not None:
            headers["x-openrouter-title"] = self._config.title
        return headers

    def _body(self, call: ChatCall, *, stream: bool) -> dict[str, Any]:
        body = super()._body(call, stream=stream)
        if preferences := _preferences(self._config.provider, call.body.get("provider")):
            body["provider"] = preferences
        if call.fallback_models and self._config.send_fallback_models and "models" not in body:
            body["models"] = list(call.fallback_models)
        return body

    async def _check(self) -> None:
        path = "models" if self._ring.current() is None else "key"
        url = f"{self._config.base_url}/{path}"
        await with_keys([self._ring], lambda keys: self._get(url, bearer(keys[0])))

    async def _generation_cost(self, generation_id: str, timeout_s: float) -> float | None:
        url = f"{self._config.base_url}/generation"
        async with asyncio.timeout(timeout_s):
            answer = await with_keys(
                [self._ring], lambda keys: self._get(url, bearer(keys[0]), params={"id": generation_id})
            )
        data = (json_object(answer.content) or {}).get("data")
        return dollars_of(data.get("total_cost")) if isinstance(data, Mapping) else None


def _preferences(settings: Mapping[str, Any], asked: object) -> dict[str, Any]:
    """Return preferences among providers, the call's own over those of the settings."""
    merged = {**settings, **(asked if isinstance(asked, Mapping) else {})}
    prices = merged.get("max_price")
    if isinstance(prices, Mapping):  # prose says numbers, the specification strings
        merged["max_price"] = {name: str(price) for name, price in prices.items()}
    return merged
