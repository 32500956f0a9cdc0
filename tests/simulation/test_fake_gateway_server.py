"""The server remembers what it got and gave, asks whoever answers from Python, and leaves nothing open."""

import asyncio
import sys
import time

import httpx
import pytest

from optimizer.errors import MissingExtra
from optimizer.simulation.fake_gateway import (
    FakeAnswer,
    FakeRequest,
    FakeServer,
    ModelScript,
    Script,
    running_gateway,
)
from tests.simulation.fake_calls import MESSAGES, PLAIN, ask, chunks, get, message

BRIEF = httpx.Timeout(10.0, read=0.1)
SLOW = Script(default=ModelScript(tokens_per_s=50.0, output_tokens=500))


def test_requests_are_remembered_as_they_came() -> None:
    with running_gateway() as server:
        ask(server, headers={"X-Portkey-Metadata": '{"tenant": "acme"}'}, temperature=0.5)
        request = server.requests[-1]
    assert (request.path, request.method, request.gateway) == ("/v1/chat/completions", "POST", "portkey")
    assert request.headers["x-portkey-metadata"] == '{"tenant": "acme"}'
    assert (request.body["temperature"], request.body["model"], request.model) == (0.5, "@openai/gpt-4o", "gpt-4o")
    assert request.prompt == MESSAGES[0]["content"]


def test_no_prompt_and_no_key_is_in_a_requests_repr() -> None:
    with running_gateway(Script(keys=("sk-secret",))) as server:
        ask(server, headers={"Authorization": "Bearer sk-secret"})
        shown = repr((server.requests, server.served, server.script))
    assert "France" not in shown
    assert "sk-secret" not in shown


def test_calls_are_counted_by_model(server: FakeServer) -> None:
    served, failed = server.n_served["gpt-4o-mini"], server.n_failed["gpt-4o-mini"]
    for fault in ("", "server_error", "", "cut"):
        try:
            ask(server, "openrouter", model="openai/gpt-4o-mini", fault=fault)
        except httpx.RemoteProtocolError:
            assert fault == "cut"
    assert (server.n_served["gpt-4o-mini"] - served, server.n_failed["gpt-4o-mini"] - failed) == (2, 2)


def test_the_books_have_tokens_and_cost_of_every_call(server: FakeServer) -> None:
    usage = ask(server, "openrouter").json()["usage"]
    booked = server.served[-1]
    assert booked.usage is not None
    assert (booked.usage.input_tokens, booked.usage.output_tokens) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert booked.cost_usd == usage["cost"]


def test_a_stream_that_is_left_is_noticed_and_charged_until_then() -> None:
    body = {"model": "openai/gpt-4o", "messages": MESSAGES, "stream": True}
    with running_gateway(SLOW) as server:
        address = f"{server.openrouter_url}/chat/completions"
        with httpx.stream("POST", address, json=body, **PLAIN) as reply:
            lines = reply.iter_lines()  # a name, as the stream is closed with it
            while "content" not in next(lines):
                pass
            assert server.n_open == 1
        assert server.is_idle(5.0)
        booked = server.served[-1]
    assert booked.is_cancelled
    assert booked.usage is not None
    assert 0 < booked.usage.output_tokens < 500
    assert booked.cost_usd
    assert server.n_cancelled["gpt-4o"] == 1


def test_a_reply_that_nobody_waits_for_ends() -> None:
    with running_gateway(SLOW) as server:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/v1/chat/completions", json={"messages": []}, timeout=BRIEF, **PLAIN)
        assert server.is_idle(5.0)


def test_a_gateway_with_calls_under_way_stops_at_once() -> None:
    began = time.monotonic()
    with running_gateway() as server, httpx.Client(timeout=BRIEF, **PLAIN) as http:
        for fault in ("hang", "stall"):
            with pytest.raises(httpx.ReadTimeout):
                http.post(f"{server.url}/v1/chat/completions", json={"messages": []}, headers={"x-fake-fault": fault})
    assert time.monotonic() - began < 5.0


def _paris(request: FakeRequest) -> FakeAnswer | None:
    if request.model != "gpt-4o":
        return None
    return FakeAnswer(content="Paris", prompt_tokens=7, completion_tokens=1, cost_usd=0.5, headers={"x-world": "w"})


def test_answers_come_from_python_where_it_has_one() -> None:
    with running_gateway(answer=_paris) as server:
        mine, other = ask(server, "openrouter", model="gpt-4o"), ask(server, "openrouter", model="openai/gpt-4o-mini")
    usage = mine.json()["usage"]
    assert (message(mine)["content"], mine.headers["x-world"]) == ("Paris", "w")
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["cost"]) == (7, 1, 0.5)
    assert message(other)["content"].startswith("The answer")


def test_answers_may_be_faults_and_may_come_later() -> None:
    async def limited(request: FakeRequest) -> FakeAnswer:
        await asyncio.sleep(0)
        return FakeAnswer(fault="rate_limit:3", headers={"x-world-ms": "120"})

    with running_gateway(answer=limited) as server:
        reply = ask(server)
    assert (reply.status_code, reply.headers["retry-after"], reply.headers["x-world-ms"]) == (429, "3", "120")


def test_answers_times_are_scaled_away() -> None:
    answer = FakeAnswer(content="a b c", ttft_s=900.0, duration_s=1_000.0)
    with running_gateway(Script(time_scale=0.0), answer=lambda _: answer) as server:
        assert len(chunks(ask(server, stream=True).text)) == 5


def test_an_answerer_that_raises_is_not_lost() -> None:
    def broken(request: FakeRequest) -> FakeAnswer:
        raise KeyError(request.model)

    def _ask() -> int:
        with running_gateway(answer=broken) as server:
            return ask(server).status_code

    with pytest.raises(KeyError, match="gpt-4o"):
        _ask()


def test_keys_are_changed_while_it_runs() -> None:
    with running_gateway(Script(keys=("old",))) as server:
        headers = {"x-portkey-api-key": "new"}
        refused = ask(server, headers=headers)
        server.keys = {"old", "new"}
        assert ask(server, headers=headers).status_code == 200
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "03")
    assert "x-portkey-trace-id" in refused.headers


@pytest.mark.parametrize("header", [{"x-portkey-api-key": "k"}, {"Authorization": "Bearer k"}])
def test_a_key_comes_in_either_header(header: dict[str, str]) -> None:
    with running_gateway(Script(keys=("k",))) as server:
        assert ask(server, headers=header).status_code == 200


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"messages": ["a"]}'])
def test_a_malformed_call_is_refused(server: FakeServer, body: bytes) -> None:
    bases = (server.portkey_url, server.openrouter_url)
    replies = [httpx.post(f"{base}/chat/completions", content=body, **PLAIN) for base in bases]
    assert [reply.status_code for reply in replies] == [400, 400]


def test_other_endpoints_fail_where_they_are_asked_to(server: FakeServer) -> None:
    fault = {"x-fake-fault": "unauthorized"}
    assert get(f"{server.openrouter_url}/key", headers=fault).status_code == 401
    with pytest.raises(httpx.RemoteProtocolError):
        get(f"{server.openrouter_url}/models", headers={"x-fake-fault": "cut"})


def test_many_calls_at_once_are_all_answered(server: FakeServer) -> None:
    async def all_of_them() -> list[int]:
        async with httpx.AsyncClient(timeout=30.0, **PLAIN) as http:
            address = f"{server.portkey_url}/chat/completions"
            calls = [http.post(address, json={"model": "gpt-4o", "messages": MESSAGES}) for _ in range(64)]
            return [reply.status_code for reply in await asyncio.gather(*calls)]

    assert asyncio.run(all_of_them()) == [200] * 64
    assert server.is_idle(5.0)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"orchestra-optimizer\[service\]"), running_gateway():
        pass
