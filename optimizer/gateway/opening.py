"""From settings to clients, and from a candidate to the way a gateway addresses it."""

from collections.abc import Mapping

from optimizer.catalog.catalog import Catalog
from optimizer.domain import Candidate, Gateway
from optimizer.gateway.openai_compatible import OpenAICompatibleClient
from optimizer.gateway.openrouter import OpenRouterClient
from optimizer.gateway.portkey import PortkeyClient, is_hosted
from optimizer.gateway.wire import GatewayClient, Target
from optimizer.settings.sections import PortkeyConfig
from optimizer.settings.settings import Settings

Client = PortkeyClient | OpenRouterClient | OpenAICompatibleClient


def open_gateways(settings: Settings) -> dict[Gateway, GatewayClient]:
    """Return a client for every gateway that the settings make usable; none connects before its first call."""
    clients: dict[Gateway, GatewayClient] = {}
    if settings.portkey_config.usable:
        clients["portkey"] = PortkeyClient(settings.portkey_config)
    if settings.openrouter_config.usable:
        clients["openrouter"] = OpenRouterClient(settings.openrouter_config)
    if settings.direct_config:
        clients["direct"] = OpenAICompatibleClient(settings.direct_config)
    return clients


def use_settings(clients: Mapping[Gateway, GatewayClient], settings: Settings) -> dict[Gateway, GatewayClient]:
    """Return the clients for new settings: those there are, which go on with them, and those that are new.

    One that is not usable any more is left out and stays open for the calls that are in flight: it is the caller's to
    close.
    """
    wanted = open_gateways(settings)
    for name, client in clients.items():
        if name in wanted and isinstance(client, Client):
            client.use(settings)
            wanted[name] = client
    return wanted


def target_of(catalog: Catalog, settings: Settings, candidate: Candidate) -> Target:
    """Return how a candidate is addressed at its gateway, and what must be known to ask it.

    Raises
    ------
    UnknownModel
        If the catalogue does not know the model, or its gateway does not offer it.
    """
    model = catalog[candidate.model_id]
    return Target(
        model_id=candidate.model_id,
        gateway=candidate.gateway,
        wire_model=_wire_model(catalog, settings, candidate),
        provider=model.portkey_provider,
        accepts_temperature=candidate.accepts_temperature,
        is_reasoning=model.is_reasoning,
        max_output_tokens=candidate.max_output_tokens,
    )


def _wire_model(catalog: Catalog, settings: Settings, candidate: Candidate) -> str:
    key, provider = candidate.model_id, catalog[candidate.model_id].portkey_provider
    if candidate.gateway == "portkey":
        slug = settings.portkey_config.virtual_keys.get(provider)
        if slug is not None:
            return catalog.wire_name(key, "portkey", slug=slug.get_secret_value().removeprefix("@"))
        # The plain name goes with a header that names the provider.
        return catalog.wire_name(key, "direct" if _without_slugs(settings.portkey_config, provider) else "portkey")
    name = catalog.wire_name(key, candidate.gateway)
    suffix = settings.openrouter_config.suffixes.get(key) if candidate.gateway == "openrouter" else None
    return name if suffix is None else f"{name}:{suffix.removeprefix(':')}"


def _without_slugs(config: PortkeyConfig, provider: str) -> bool:
    """Return whether the provider's own key travels with each call, or no Portkey account is there to store one."""
    has_account = config.api_key or config.api_key_file is not None
    return bool(config.provider_keys.get(provider)) or not (is_hosted(config) or has_account)
