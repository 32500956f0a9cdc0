"""OpenRouter as it is played: its fallbacks, models with prices as text, the key, and past generations."""

from decimal import Decimal

import httpx
import pytest

from optimizer.simulation.fake_gateway import FakeServer, Script, running_gateway
from tests.gateway.specs import refused
from tests.simulation.fake_calls import ask, get


@pytest.mark.parametrize("path", ["/models", "/key", "/credits", "/providers"])
def test_endpoints_are_as_the_document_says(server: FakeServer, path: str) -> None:
    reply = get(server.openrouter_url + path)
    assert refused("openrouter", reply.json(), path=path, method="get", status=200) == []


def test_prices_are_text_and_a_router_has_none(server: FakeServer) -> None:
    listed = {model["id"]: model for model in get(f"{server.openrouter_url}/models").json()["data"]}
    pricing = listed["openai/gpt-4o"]["pricing"]
    assert Decimal(pricing["prompt"]) * 1_000_000 == Decimal("2.5")
    assert listed["openrouter/auto"]["pricing"]["prompt"] == "-1"
    assert any("input_cache_read" not in model["pricing"] for model in listed.values())
    assert any("overrides" in model["pricing"] for model in listed.values())
    assert any("expiration_date" in model for model in listed.values())


def test_another_model_serves_where_the_first_fails(server: FakeServer) -> None:
    body = ask(server, "openrouter", fault="bad_gateway", models=["anthropic/claude-haiku-4.5"]).json()
    assert (body["model"], body["provider"]) == ("anthropic/claude-haiku-4.5", "Anthropic")


def test_a_generation_is_unknown_at_first(server: FakeServer) -> None:
    reply = ask(server, "openrouter")
    identity, cost = reply.json()["id"], reply.json()["usage"]["cost"]
    assert reply.headers["x-generation-id"] == identity
    first, second = (get(f"{server.openrouter_url}/generation", params={"id": identity}) for _ in range(2))
    assert (first.status_code, second.status_code) == (404, 200)
    assert refused("openrouter", second.json(), path="/generation", method="get", status=200) == []
    assert second.json()["data"]["total_cost"] == cost


def test_a_stream_that_broke_has_its_cost_there(server: FakeServer) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ask(server, "openrouter", fault="cut", stream=True)
    booked = server.served[-1]
    address, params = f"{server.openrouter_url}/generation", {"id": booked.generation_id}
    _, found = (get(address, params=params) for _ in range(2))
    data = found.json()["data"]
    assert booked.usage is not None
    assert 0 < data["native_tokens_completion"] == booked.usage.output_tokens < 24
    assert data["total_cost"] == booked.cost_usd > 0


def test_the_key_has_used_what_calls_cost() -> None:
    with running_gateway(Script(keys=("sk-or-1",))) as server:
        headers = {"Authorization": "Bearer sk-or-1"}
        cost = ask(server, "openrouter", headers=headers).json()["usage"]["cost"]
        assert get(f"{server.openrouter_url}/key", headers=headers).json()["data"]["usage"] == cost


@pytest.mark.parametrize("path", ["/key", "/generation"])
def test_a_wrong_key_is_refused(path: str) -> None:
    with running_gateway(Script(keys=("sk-or-1",))) as server:
        reply = get(server.openrouter_url + path, headers={"Authorization": "Bearer other"})
        assert get(f"{server.openrouter_url}/models").status_code == 200
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, 401)


def test_an_unknown_path_is_not_found(server: FakeServer) -> None:
    assert get(f"{server.openrouter_url}/nothing").json()["error"]["code"] == 404
