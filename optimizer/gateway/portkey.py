"""Portkey, hosted or run by oneself: which headers say who is asked, with whose key, and how the call is noted."""

import asyncio
import json
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from optimizer.domain import Gateway
from optimizer.errors import InvalidRating
from optimizer.gateway.client import HttpGateway, Keys, bearer, encoded, returned, with_keys
from optimizer.gateway.failures import failure_of
from optimizer.gateway.keys import KeyRing
from optimizer.gateway.transport import Answer, caught
from optimizer.gateway.wire import ChatCall, Target
from optimizer.settings.sections import PORTKEY_URL, PortkeyConfig
from optimizer.settings.settings import Settings

LONGEST_METADATA = 128
MODELS_WITH_AT = ("@cf/", "@hf/")  # names that begin like a stored provider's slug


class PortkeyClient(HttpGateway):
    """Portkey. `use` makes another configuration hold for the calls that begin after it."""

    name: Gateway = "portkey"

    def __init__(self, config: PortkeyConfig) -> None:
        super().__init__()
        self._config = config
        self._ring = KeyRing(config.api_key, config.api_key_file)
        self._provider_rings = {name: KeyRing(keys) for name, keys in config.provider_keys.items()}

    def use(self, settings: Settings) -> None:
        """Go on with these settings."""
        config = settings.portkey_config
        if not self._ring.same_as(config.api_key, config.api_key_file):
            self._ring = KeyRing(config.api_key, config.api_key_file)
        self._provider_rings = {
            name: old if (old := self._provider_rings.get(name)) and old.same_as(keys, None) else KeyRing(keys)
            for name, keys in config.provider_keys.items()
        }
        self._config = config

    @property
    def takes_feedback(self) -> bool:
        """Whether ratings are sent on: asked for, and to a Portkey that keeps them.

        A gateway of one's own without a Portkey key would pass them on to the provider.
        """
        hosted = is_hosted(self._config) or self._ring.current() is not None
        return self._config.feedback and hosted

    async def send_feedback(
        self, trace_id: str, value: float, *, metadata: Mapping[str, str] | None = None, timeout_s: float = 10.0
    ) -> bool:
        """Send a rating in [0, 1] of the call with this trace id; return whether it was sent.

        Portkey keeps whole numbers from -10 to 10, so it learns a rating to the nearest twentieth.

        Raises
        ------
        GatewayError
            Where Portkey does not take it.
        InvalidRating
            If `value` is no number in [0, 1].
        """
        if not 0.0 <= value <= 1.0:
            raise InvalidRating("value", "must be a number in [0, 1]")
        if not self.takes_feedback:
            return False
        body: dict[str, object] = {"trace_id": trace_id, "value": round(20.0 * value - 10.0)}
        if metadata:
            body["metadata"] = _short(metadata)
        returned(await caught(self._sent(encoded(body), timeout_s), gateway=self.name))
        return True

    def _rings(self, target: Target) -> tuple[KeyRing, ...]:
        provider = self._provider_rings.get(target.provider)
        return (self._ring,) if provider is None or has_slug(target.wire_model) else (self._ring, provider)

    def _url(self, target: Target) -> str:  # noqa: ARG002, one address for all
        return self._config.base_url

    def _headers(self, call: ChatCall, keys: Keys) -> dict[str, str]:
        headers = self._account(keys[0]) | self._options()
        if self._config.config is None:  # where it would override what a configuration says of its targets
            headers["x-portkey-request-timeout"] = str(max(1, round(call.timeout_s * 1000)))
        if not has_slug(call.target.wire_model):
            headers["x-portkey-provider"] = call.target.provider
        if len(keys) > 1:
            headers |= bearer(keys[1])
        if call.trace_id:
            headers["x-portkey-trace-id"] = call.trace_id
        if metadata := _short({**self._config.metadata, **call.metadata}):
            headers["x-portkey-metadata"] = json.dumps(metadata)
        return headers

    def _options(self) -> dict[str, str]:
        config = self._config
        stored = config.config if config.config is None or isinstance(config.config, str) else json.dumps(config.config)
        options = {
            "x-portkey-config": stored,
            "x-portkey-cache-namespace": config.cache_namespace,
            "x-portkey-cache-force-refresh": "true" if config.cache_force_refresh else None,
            "x-portkey-custom-host": config.custom_host,
        }
        return {name: value for name, value in options.items() if value is not None}

    def _account(self, key: str | None) -> dict[str, str]:
        return {} if key is None else {"x-portkey-api-key": key}

    async def _check(self) -> None:
        if is_hosted(self._config):
            url = f"{self._config.base_url}/models"
            await with_keys([self._ring], lambda keys: self._get(url, self._account(keys[0])))
        else:
            await self._get(root_of(self._config.base_url), {}, worst=499)

    async def _sent(self, content: bytes, timeout_s: float) -> Answer:
        async with asyncio.timeout(timeout_s):
            return await with_keys([self._ring], lambda keys: self._rate(content, keys[0]))

    async def _rate(self, content: bytes, key: str | None) -> Answer:
        headers = {"content-type": "application/json", **self._account(key)}
        answer = await self._http.ask("POST", f"{self._config.base_url}/feedback", headers=headers, content=content)
        if answer.status > 299:
            raise failure_of(answer, gateway=self.name)
        return answer


def is_hosted(config: PortkeyConfig) -> bool:
    """Return whether this is Portkey's own service."""
    return config.base_url == PORTKEY_URL


def has_slug(wire_model: str) -> bool:
    """Return whether a name says by itself under which name its provider is stored: `@slug/model`."""
    return wire_model.startswith("@") and not wire_model.startswith(MODELS_WITH_AT)


def root_of(url: str) -> str:
    """Return the root of the server that a URL is on."""
    return urlunsplit(urlsplit(url)._replace(path="/", query="", fragment=""))


def _short(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name: value[:LONGEST_METADATA] for name, value in metadata.items()}
