"""What hosted Portkey has beside chat completions: the model list, feedback, and the price API."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from optimizer.catalog import Model
from optimizer.simulation.fake_gateway.gateway import FakeGateway
from optimizer.simulation.fake_gateway.messages import FakeRequest, Headers, Reply, as_reply

_CENTS_PER_TOKEN = 1e-4  # of one dollar per million tokens
_INVALID = "Portkey Error: Invalid Request Body. Error code: "


def traced(gateway: FakeGateway, request: FakeRequest) -> Headers:
    """Return the header that every reply of Portkey has: the trace id as it was sent, or a new one (hosted only)."""
    made = "" if gateway.script.mode == "oss" else str(uuid.UUID(int=request.number))
    return ((b"x-portkey-trace-id", request.headers.get("x-portkey-trace-id", made).encode("latin-1")),)


def models(gateway: FakeGateway, request: FakeRequest) -> Reply:
    """Return the workspace's models, or with a provider named, or without Portkey, the provider's own."""
    provider = request.headers.get("x-portkey-provider")
    if request.gateway == "portkey" and provider is None:
        ids = [f"@{model.portkey_provider}/{model.portkey_model}" for model in gateway.names.models]
    else:
        ids = [m.portkey_model for m in gateway.names.models if provider in {None, m.portkey_provider}]
    created = 1_700_000_000
    data = [{"id": name, "object": "model", "created": created, "owned_by": "fake"} for name in ids]
    return as_reply(200, {"object": "list", "data": data})


def post_feedback(gateway: FakeGateway, request: FakeRequest) -> Reply:
    """Store one rating or a list of them."""
    items = request.body if isinstance(request.body, list) else [request.body]
    if code := _wrong(items, required=("trace_id", "value")):
        return as_reply(400, {"status": "failure", "message": f"{_INVALID}{code}"})
    ids = [_stored(gateway, item) for item in items]
    body = {"status": "success", "message": "Feedback successfully saved", "feedback_ids": ids}
    return as_reply(200, body)


def put_feedback(gateway: FakeGateway, request: FakeRequest) -> Reply:
    """Change a rating."""
    identity = request.path.rpartition("/")[2]
    if identity not in gateway.feedback:
        return as_reply(404, {"status": "failure", "message": "Portkey Error: Feedback not found"})
    if code := _wrong([request.body], required=("value",)):
        return as_reply(400, {"status": "failure", "message": f"{_INVALID}{code}"})
    gateway.feedback[identity] |= _cleaned(request.body)
    body = {"status": "success", "message": "Feedback successfully updated", "feedback_ids": [identity]}
    return as_reply(200, body)


def _wrong(items: list[Any], *, required: Iterable[str]) -> str | None:
    """Return the code of what is wrong with ratings: 032 a field is missing, 033 the value is out of range."""
    for item in items:
        if not isinstance(item, Mapping) or any(item.get(key) is None for key in required):
            return "032"
        value = item["value"]
        if isinstance(value, bool) or not isinstance(value, int) or not -10 <= value <= 10:
            return "033"
    return None if items else "032"


def _stored(gateway: FakeGateway, item: Mapping[str, Any]) -> str:
    identity = str(uuid.UUID(int=len(gateway.feedback) + 1))
    gateway.feedback[identity] = {"trace_id": item["trace_id"], "weight": 1.0, "metadata": {}} | _cleaned(item)
    return identity


def _cleaned(item: Mapping[str, Any]) -> dict[str, Any]:
    weight = item.get("weight", 1.0)
    metadata = {str(key): str(value)[:128] for key, value in (item.get("metadata") or {}).items()}
    is_share = isinstance(weight, int | float) and 0 <= weight <= 1
    return {"value": item["value"], "weight": weight if is_share else 1.0, "metadata": metadata}


def pricing(gateway: FakeGateway, request: FakeRequest) -> Reply:
    """Return a model's price in US cents per token."""
    model = _priced(gateway, request.path)
    if model is None:
        return as_reply(404, {"error": "Model not found"})
    price = gateway.catalog.price(model.key, "portkey", datetime.fromtimestamp(gateway.clock(), UTC))
    units = {
        "request_token": price.input_usd_per_mtok,
        "response_token": price.output_usd_per_mtok,
        "cache_read_input_token": price.cached_usd_per_mtok,
        "cache_write_input_token": model.cache_write_usd_per_mtok,
    }
    # An unrecorded price is 0 there, as a free one is.
    priced = {name: {"price": round((usd or 0.0) * _CENTS_PER_TOKEN, 12)} for name, usd in units.items()}
    calculate: dict[str, object] = {"request": {}, "response": {}}
    return as_reply(200, {"pay_as_you_go": priced, "calculate": calculate, "currency": "USD"})


def _priced(gateway: FakeGateway, path: str) -> Model | None:
    provider, _, name = path.partition("/model-configs/pricing/")[2].partition("/")
    found = (m for m in gateway.names.models if (m.portkey_provider, m.portkey_model) == (provider, name))
    return next(found, None)
