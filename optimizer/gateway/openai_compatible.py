"""A provider, or any OpenAI-compatible server, without a gateway in between; one address per provider."""

import asyncio
from collections.abc import Mapping

from optimizer.domain import Gateway
from optimizer.errors import GatewayError, ModelUnavailable
from optimizer.gateway.client import HttpGateway, Keys, bearer, returned
from optimizer.gateway.keys import KeyRing
from optimizer.gateway.transport import Answer, caught
from optimizer.gateway.wire import ChatCall, Target
from optimizer.settings.sections import DirectConfig
from optimizer.settings.settings import Settings


class OpenAICompatibleClient(HttpGateway):
    """Servers that are asked directly. `use` makes other settings hold for the calls that begin after it."""

    name: Gateway = "direct"

    def __init__(self, configs: Mapping[str, DirectConfig]) -> None:
        super().__init__()
        self._configs = dict(configs)
        self._by_provider = {name: KeyRing(config.api_key, config.api_key_file) for name, config in configs.items()}

    def use(self, settings: Settings) -> None:
        """Go on with these settings."""
        rings = {}
        for name, config in settings.direct_config.items():
            old = self._by_provider.get(name)
            keep = old is not None and old.same_as(config.api_key, config.api_key_file)
            rings[name] = old if old is not None and keep else KeyRing(config.api_key, config.api_key_file)
        self._by_provider, self._configs = rings, dict(settings.direct_config)

    def _rings(self, target: Target) -> tuple[KeyRing, ...]:
        self._config(target)
        return (self._by_provider[target.provider],)

    def _url(self, target: Target) -> str:
        return self._config(target).base_url

    def _headers(self, call: ChatCall, keys: Keys) -> dict[str, str]:  # noqa: ARG002, every call has the same
        return bearer(keys[0])

    def _config(self, target: Target) -> DirectConfig:
        """Return where the provider is, or raise `ModelUnavailable` where no address is set."""
        if target.provider not in self._configs:
            raise ModelUnavailable(gateway=self.name, model_id=target.model_id)
        return self._configs[target.provider]

    async def _check(self) -> None:
        """Ask every server; one that answers is enough."""
        found = await asyncio.gather(*(caught(self._alive(name), gateway=self.name) for name in self._configs))
        failures = [failure for failure in found if isinstance(failure, GatewayError)]
        if failures and len(failures) == len(found):
            returned(failures[0])

    async def _alive(self, provider: str) -> Answer:
        key = self._by_provider[provider].current()
        return await self._get(f"{self._configs[provider].base_url}/models", bearer(key), worst=499)
