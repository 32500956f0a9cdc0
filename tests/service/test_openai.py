"""OpenAI's own client, with nothing but another base URL and another model."""

import json
from collections.abc import Iterator

import openai
import pytest

from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import Trouble
from tests.engine.factory import DEAR, pool
from tests.service.conftest import Serve
from tests.service.running import HELLO, Served, only

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url, api_key="any", max_retries=0) as client:
        yield client


def test_a_chat(client: openai.OpenAI, served: Served) -> None:
    raw = client.chat.completions.with_raw_response.create(model="auto:chat", messages=HELLO, user="u1")
    reply = raw.parse()
    assert reply.choices[0].message.content
    assert reply.usage is not None
    assert raw.headers["x-optimizer-call-id"] == served.last.selection.call_id


def test_a_stream_with_usage(client: openai.OpenAI, fake: FakeServer) -> None:
    only(fake, DEAR, answer="Hello, you.")
    stream = client.chat.completions.create(
        model=DEAR, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello, you."
    assert chunks[-1].usage is not None


def test_a_tool_is_called_and_its_answer_sent_back(client: openai.OpenAI, fake: FakeServer) -> None:
    asked = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = client.chat.completions.create(model=DEAR, messages=asked, tools=[TOOL]).choices[0]
    (call,) = first.message.tool_calls or ()
    assert (first.finish_reason, call.function.name) == ("tool_calls", "get_weather")
    assert json.loads(call.function.arguments) is not None
    told = [*asked, first.message, {"role": "tool", "tool_call_id": call.id, "content": "22 degrees"}]
    client.chat.completions.create(model=DEAR, messages=told, tools=[TOOL], tool_choice="none")
    sent = fake.requests[-1].body["messages"]
    assert (sent[1]["tool_calls"][0]["id"], sent[2]["tool_call_id"]) == (call.id, call.id)


def test_a_tool_call_is_put_together_from_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=DEAR, messages=HELLO, tools=[TOOL]) as stream:
        final = stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls or ()
    assert call.function.name == "get_weather"


def test_a_structured_reply(client: openai.OpenAI, fake: FakeServer) -> None:
    schema = {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}
    reply = client.chat.completions.create(
        model=DEAR, messages=HELLO, response_format={"type": "json_schema", "json_schema": schema}
    )
    assert isinstance(json.loads(reply.choices[0].message.content or ""), dict)
    assert fake.requests[-1].body["response_format"]["json_schema"] == schema


def test_hints_by_headers_and_metadata(client: openai.OpenAI, served: Served) -> None:
    client.chat.completions.create(
        model="auto",
        messages=HELLO,
        metadata={"use_case": "code_generation"},
        extra_headers={"x-optimizer-session": "s1"},
    )
    assert served.last.selection.use_case == "code_generation"
    assert served.last.selection.request.session_id == "s1"


def test_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names[:2] == ["auto", "auto:code_generation"]
    assert DEAR in names
    assert client.models.retrieve("auto:chat").owned_by == "orchestra-optimizer"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-99")


def test_failures_are_the_clients_own_errors(client: openai.OpenAI, fake: FakeServer) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-99"):
        client.chat.completions.create(model="gpt-99", messages=HELLO)
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="auto", messages=[])
    assert (refused.value.param, refused.value.type) == ("messages", "invalid_request_error")
    fake.play(Script(troubles=(Trouble(fault="rate_limit:7"),)))
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(model=DEAR, messages=HELLO)
    assert limited.value.response.headers["retry-after"] == "7"


def test_a_broken_stream_is_an_error_and_no_short_reply(client: openai.OpenAI, fake: FakeServer) -> None:
    only(fake, DEAR, output_tokens=40, troubles=(Trouble(fault="error_midway"),))
    stream = client.chat.completions.create(model=DEAR, messages=HELLO, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_a_spent_limit_is_not_tried_again(serve: Serve) -> None:
    served = serve(pool("objective: quality", "routing: {cost_limits: {daily_usd: 0.000001}}"))
    with (
        openai.OpenAI(base_url=served.url, api_key="any", max_retries=5) as client,
        pytest.raises(openai.RateLimitError),
    ):
        client.chat.completions.create(model="auto", messages=HELLO)
    assert len(served.calls()) == 1


@pytest.mark.anyio
async def test_many_calls_at_once_by_the_asynchronous_client(served: Served) -> None:
    import asyncio

    async with openai.AsyncOpenAI(base_url=served.url, api_key="any") as client:
        calls = (client.chat.completions.create(model="auto", messages=HELLO) for _ in range(32))
        replies = await asyncio.gather(*calls)
    assert all(reply.choices for reply in replies)
    assert len(served.calls()) == 32


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
