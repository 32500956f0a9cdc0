"""What OpenRouter has beside chat completions: models with prices, the key, credits, providers, past generations."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from optimizer.catalog import Model
from optimizer.simulation.fake_gateway.gateway import FakeGateway
from optimizer.simulation.fake_gateway.messages import FakeRequest, Reply, as_reply
from optimizer.simulation.fake_gateway.styles import DISPLAY_NAMES

_PARAMETERS = ("max_tokens", "temperature", "top_p", "stop", "seed")
_UNUSED = """
    upstream_id cache_discount app_id external_user preset_id router provider_responses user_agent http_referer
    native_tokens_completion_images num_media_prompt num_input_audio_prompt num_media_completion num_search_results
    num_fetches web_search_engine workspace_id upstream_inference_cost service_tier session_id request_id
""".split()  # noqa: SIM905 (as long as a list of them would be)
_NO_PRICE = {"prompt": "-1", "completion": "-1"}


def models(gateway: FakeGateway, _: FakeRequest) -> Reply:
    """Return the models with their prices in dollars per token, a free one and a router among them."""
    listed = [_listed(model) for model in gateway.names.models if model.openrouter_id]
    if listed:
        free, router = "meta-llama/llama-3.3-70b-instruct:free", "openrouter/auto"
        listed.append(listed[0] | _named(free, "Free") | {"pricing": {"prompt": "0", "completion": "0"}})
        listed.append(listed[0] | _named(router, "Auto Router") | {"pricing": _NO_PRICE})
    return as_reply(200, {"data": listed, "total_count": len(listed), "links": {"next": None}})


def _named(identity: str, name: str) -> dict[str, Any]:
    links = {"details": f"/api/v1/models/{identity}/endpoints"}
    return {"id": identity, "canonical_slug": identity, "name": name, "links": links}


def _listed(model: Model) -> dict[str, Any]:
    identity = str(model.openrouter_id)
    inputs = [{"pdf": "file"}.get(kind, kind) for kind in model.input_modalities]
    parameters = [p for p in _PARAMETERS if p != "temperature" or model.accepts_temperature is not False]
    parameters += ["tools", "tool_choice"] if model.supports_tools else []
    parameters += ["response_format", "structured_outputs"] if model.supports_json_schema else []
    return {
        **_named(identity, f"{model.vendor}: {model.key}"),
        "created": 1_721_260_800,
        "context_length": model.context_window_tokens,
        "architecture": {
            "modality": f"{'+'.join(inputs)}->text",
            "input_modalities": inputs,
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": _pricing(model),
        "top_provider": {
            "context_length": model.context_window_tokens,
            "max_completion_tokens": model.max_output_tokens,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": parameters,
        "default_parameters": None,
        "supported_voices": None,
        **({"expiration_date": model.retires_on.isoformat()} if model.retires_on else {}),
    }


def _pricing(model: Model) -> dict[str, Any]:
    price = model.openrouter_price
    if price.input_usd_per_mtok is None or price.output_usd_per_mtok is None:
        return dict(_NO_PRICE)
    pricing: dict[str, Any] = {
        "prompt": _per_token(price.input_usd_per_mtok),
        "completion": _per_token(price.output_usd_per_mtok),
    }
    if model.cached_input_usd_per_mtok is not None:
        pricing["input_cache_read"] = _per_token(model.cached_input_usd_per_mtok)
    if model.long_context_over_tokens and model.long_input_usd_per_mtok and model.long_output_usd_per_mtok:
        dearer = {"prompt": model.long_input_usd_per_mtok, "completion": model.long_output_usd_per_mtok}
        override: Mapping[str, Any] = {name: _per_token(usd) for name, usd in dearer.items()}
        pricing["overrides"] = [{"min_prompt_tokens": model.long_context_over_tokens, **override}]
    return pricing


def _per_token(usd_per_mtok: float) -> str:
    return f"{(Decimal(str(usd_per_mtok)) / 1_000_000).normalize():f}"


def key(gateway: FakeGateway, _: FakeRequest) -> Reply:
    """Return what the key has used."""
    used = sum(served.cost_usd or 0.0 for served in gateway.generations.values())
    spans = ("", "_daily", "_weekly", "_monthly")
    data: dict[str, Any] = {f"usage{span}": used for span in spans} | {f"byok_usage{span}": 0.0 for span in spans}
    data |= {"label": "sk-or-v1-fake...", "limit": None, "limit_remaining": None, "limit_reset": None}
    data |= {"is_free_tier": False, "is_management_key": False, "is_provisioning_key": False}
    data |= {"include_byok_in_limit": False, "creator_user_id": None, "expires_at": None}
    data["rate_limit"] = {"requests": -1, "interval": "10s", "note": "This field is deprecated."}
    return as_reply(200, {"data": data})


def credits(gateway: FakeGateway, _: FakeRequest) -> Reply:  # noqa: A001 (as the endpoint is named)
    """Return what was bought and used."""
    used = sum(served.cost_usd or 0.0 for served in gateway.generations.values())
    return as_reply(200, {"data": {"total_credits": 100.0, "total_usage": used}})


def providers(_: FakeGateway, __: FakeRequest) -> Reply:
    """Return the providers."""
    data = [{"name": name, "slug": slug, "privacy_policy_url": None} for slug, name in DISPLAY_NAMES.items()]
    return as_reply(200, {"data": data})


def generation(gateway: FakeGateway, request: FakeRequest) -> Reply:
    """Return what became of a generation, once it is known here, which takes a while."""
    identity = request.query.get("id", "")
    gateway.generation_asked[identity] += 1
    served = gateway.generations.get(identity)
    if (
        served is None
        or served.usage is None
        or gateway.generation_asked[identity] <= gateway.script.n_generation_misses
    ):
        return as_reply(404, {"error": {"code": 404, "message": f"Generation {identity} not found"}})
    usage, finish = served.usage, None if served.is_cancelled else "stop"
    cost = served.cost_usd or 0.0
    data = dict.fromkeys(_UNUSED) | {
        "id": identity,
        "model": served.model,
        "provider_name": DISPLAY_NAMES.get(served.provider, served.provider),
        "total_cost": cost,
        "usage": cost,
        "created_at": datetime.fromtimestamp(gateway.clock(), UTC).isoformat(),
        "tokens_prompt": usage.input_tokens,
        "tokens_completion": usage.output_tokens,
        "native_tokens_prompt": usage.input_tokens,
        "native_tokens_completion": usage.output_tokens,
        "native_tokens_reasoning": usage.reasoning_tokens,
        "native_tokens_cached": usage.cached_tokens,
        "finish_reason": finish,
        "native_finish_reason": finish,
        "latency": 0.0,
        "moderation_latency": None,
        "generation_time": 0.0,
        "streamed": served.is_stream,
        "cancelled": served.is_cancelled,
        "is_byok": served.fault == "byok",
        "origin": "",
        "api_type": "completions",
        "data_region": "global",
    }
    return as_reply(200, {"data": data})
