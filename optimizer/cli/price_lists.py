"""Asks the gateways for their price lists, all models of the catalogue, and says which list could not be read."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from optimizer.catalog import Catalog, Model
from optimizer.domain import Gateway, Price
from optimizer.errors import GatewayError, InvalidReply
from optimizer.gateway.listings import openrouter_prices, portkey_price
from optimizer.gateway.transport import Http
from optimizer.settings import Settings

LISTS: Mapping[Gateway, str] = {"portkey": "Portkey's price API", "openrouter": "OpenRouter's list of models"}
_AT_ONCE = 8
_TIMEOUT_S = 30.0

Told = Callable[[Gateway, int, int], object]


@dataclass(frozen=True, slots=True)
class PriceList:
    """What one gateway says.

    Attributes
    ----------
    prices : mapping of str to Price
        Model of the catalogue → what is listed; models that the list does not name are left out.
    error : str or None
        Why nothing could be read.
    """

    gateway: Gateway
    prices: Mapping[str, Price] = field(default_factory=dict)
    error: str | None = None


async def price_lists(
    settings: Settings, catalog: Catalog, gateways: tuple[Gateway, ...], at: datetime, *, told: Told
) -> list[PriceList]:
    """Return the lists of these gateways for the models that are served at a time; no key is needed.

    Parameters
    ----------
    told : callable
        Told of a gateway how many models of how many have been asked for.
    """
    models = [model for model in catalog.models.values() if model.servable(at)]

    async def one(gateway: Gateway) -> PriceList:
        try:
            if gateway == "openrouter":
                found = await _of_openrouter(http, settings, models)
            else:
                found = await _of_portkey(http, settings, catalog, models, at, told=told)
        except GatewayError as error:
            return PriceList(gateway, error=str(error))
        if not found:
            return PriceList(
                gateway, error=f"{gateway}: it knows none of the models; is this the gateway's own address?"
            )
        return PriceList(gateway, found)

    async with Http() as http:
        return list(await asyncio.gather(*map(one, gateways)))


async def _of_openrouter(http: Http, settings: Settings, models: list[Model]) -> dict[str, Price]:
    listed = await openrouter_prices(http, settings.openrouter_config, timeout_s=_TIMEOUT_S)
    return {
        model.key: listed[model.openrouter_id].price
        for model in models
        if model.openrouter_id is not None and model.openrouter_id in listed
    }


async def _of_portkey(
    http: Http, settings: Settings, catalog: Catalog, models: list[Model], at: datetime, *, told: Told
) -> dict[str, Price]:
    """Return what Portkey says of each model; an answer that is none says nothing, any other failure ends it all."""
    room, found = asyncio.Semaphore(_AT_ONCE), dict[str, Price]()
    n_asked = iter(range(1, len(models) + 1))

    async def ask(model: Model) -> None:
        in_force = catalog.price(model.key, "portkey", at)
        free = in_force.input_usd_per_mtok == in_force.output_usd_per_mtok == 0.0
        name = model.portkey_provider, model.portkey_model
        async with room:
            try:
                price = await portkey_price(http, settings.portkey_config, *name, free=free, timeout_s=_TIMEOUT_S)
            except InvalidReply:
                price = None
        told("portkey", next(n_asked), len(models))
        if price is not None:
            found[model.key] = price

    tasks = [asyncio.create_task(ask(model)) for model in models]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found
