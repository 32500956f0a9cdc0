"""Whom a gateway asks for a chat completion, in order: its own retries and fallbacks, and what it refuses to begin."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from optimizer.simulation.fake_gateway.gateway import FakeGateway
from optimizer.simulation.fake_gateway.messages import FakeRequest, Reply
from optimizer.simulation.fake_gateway.naming import Known, Names, split_slug
from optimizer.simulation.fake_gateway.refusals import portkey_failure
from optimizer.simulation.fake_gateway.script import Script

RETRIED = (429, 500, 502, 503, 504)
TRUSTED_HOSTS = {"localhost", "127.0.0.1", "::1", "host.docker.internal"}
OPENROUTER_ROUTERS = {"", "openrouter/auto", "openrouter/auto-beta", "openrouter/free"}
ROUTED_TO = "openai/gpt-4o-mini"  # what the routers choose


@dataclass(frozen=True, slots=True)
class Aim:
    """One model that is asked.

    Attributes
    ----------
    node : str
        The place in Portkey's configuration.
    n_retries, retried : int, tuple of int
        How often it is asked again, and after which statuses.
    moves_on : tuple of int or None
        After which statuses the next one is asked; None: after every one that is not 2xx.
    timeout_s : float or None
        How long the gateway waits for it.
    """

    known: Known
    body: Mapping[str, Any] = field(repr=False)
    node: str = "config"
    n_retries: int = 0
    retried: tuple[int, ...] = RETRIED
    moves_on: tuple[int, ...] | None = None
    timeout_s: float | None = None


class Refusal(Exception):
    """The gateway refuses a request before it asks anybody."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def aims_of(request: FakeRequest, gateway: FakeGateway) -> list[Aim]:
    """Return whom to ask, in order.

    Raises
    ------
    Refusal
        If the gateway itself finds the request wrong.
    """
    if request.gateway == "portkey":
        return list(_portkey(request, gateway))
    if request.gateway == "openrouter":
        models = dict.fromkeys((request.model, *request.body.get("models", ())))
        asked = [model for model in models if model] or [""]
        return [Aim(_of_openrouter(model, gateway.names), {**request.body, "model": model}) for model in asked]
    return [Aim(gateway.names.find("direct", request.model, None), request.body)]


def _of_openrouter(model: str, names: Names) -> Known:
    return names.find("openrouter", ROUTED_TO if model in OPENROUTER_ROUTERS else model, None)


def _portkey(request: FakeRequest, gateway: FakeGateway) -> Iterator[Aim]:
    headers, script = request.headers, gateway.script
    host = headers.get("x-portkey-custom-host")
    if host and script.mode == "oss" and urlsplit(host).hostname not in TRUSTED_HOSTS:
        raise Refusal(portkey_failure(400, "Invalid custom host"))
    given = headers.get("x-portkey-config")
    config = {} if given is None else _config(given, script)
    virtual_key = headers.get("x-portkey-virtual-key")
    provider = headers.get("x-portkey-provider") or (f"@{virtual_key}" if virtual_key else None)
    if timeout := headers.get("x-portkey-request-timeout"):
        config = {"request_timeout": int(timeout), **config}
    if script.mode == "oss" and not provider and given is None:
        raise Refusal(portkey_failure(400, "Either x-portkey-config or x-portkey-provider header is required"))
    leaves = _leaves({"provider": provider, **config}, "config", gateway.rng(request.number))
    return (_aim(leaf, node, request=request, gateway=gateway) for leaf, node in leaves)


def _config(text: str, script: Script) -> dict[str, Any]:
    if not text.startswith("{"):
        if script.mode == "hosted" and text in script.configs:
            return script.configs[text]
        raise Refusal(portkey_failure(400, f"Invalid config {'id ' * (script.mode == 'hosted')}passed"))
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        raise Refusal(portkey_failure(400, "Invalid config passed")) from None
    return found


_INHERITED = ("provider", "virtual_key", "api_key", "request_timeout", "retry")


def _leaves(config: Mapping[str, Any], node: str, rng: random.Random) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the configurations without targets, in the order in which they are asked."""
    targets = config.get("targets")
    if not targets:
        yield dict(config), node
        return
    strategy = config.get("strategy") or {}
    places = list(range(len(targets)))
    if strategy.get("mode") == "loadbalance":
        places = rng.choices(places, [target.get("weight", 1) for target in targets])
    elif strategy.get("mode") != "fallback":
        places = places[:1]
    for i in places:
        inherited = {key: config[key] for key in _INHERITED if key in config}
        params = {**config.get("override_params", {}), **targets[i].get("override_params", {})}
        moves_on = {"moves_on": strategy.get("on_status_codes")}
        yield from _leaves(
            {**inherited, **moves_on, **targets[i], "override_params": params}, f"{node}.targets[{i}]", rng
        )


def _aim(leaf: Mapping[str, Any], node: str, *, request: FakeRequest, gateway: FakeGateway) -> Aim:
    body = {**request.body, **leaf.get("override_params", {})}
    slug, model = split_slug(str(body.get("model") or ""))
    named = leaf.get("provider") or (f"@{leaf['virtual_key']}" if leaf.get("virtual_key") else None)
    chosen = f"@{slug}" if slug and not str(named or "").startswith("@") else named
    retry = leaf.get("retry") or {}
    timeout_ms = leaf.get("request_timeout")
    return Aim(
        known=gateway.names.find("portkey", model or "gpt-3.5-turbo", _provider(chosen, gateway)),
        body={**body, "model": model},
        node=node,
        n_retries=min(int(retry.get("attempts", 0)), 5),
        retried=tuple(retry.get("on_status_codes") or RETRIED),
        moves_on=tuple(leaf["moves_on"]) if leaf.get("moves_on") else None,
        timeout_s=int(timeout_ms) / 1000.0 if timeout_ms else None,
    )


def _provider(named: str | None, gateway: FakeGateway) -> str | None:
    """Return Portkey's slug of the provider; None where only the model tells."""
    if not named or not named.startswith("@"):
        return named or None
    slug, script = named.removeprefix("@"), gateway.script
    if script.mode == "oss":
        raise Refusal(portkey_failure(400, "Invalid provider passed"))
    if slug in script.slugs or slug in gateway.names.providers:
        return script.slugs.get(slug, slug)
    if script.slugs:
        raise Refusal(portkey_failure(400, f"Following keys are not valid: {slug}"))
    return None
