"""Streams over HTTP: events, headers at the first token, failures before and after it, usage, clients that leave."""

import json
from typing import Any

import pytest

from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import ModelScript, Trouble
from tests.engine.factory import DEAR, MIDDLE, pool
from tests.service.conftest import Serve
from tests.service.running import CHAT, HELLO, Served, error_of, only, until

SLOW = {"tokens_per_s": 20.0, "output_tokens": 200}


def events(text: str) -> list[Any]:
    """Return what the events of a stream hold; its end as it stands."""
    data = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [each if each == "[DONE]" else json.loads(each) for each in data]


def test_a_stream_comes_as_events_that_end_with_done(served: Served, fake: FakeServer) -> None:
    only(fake, DEAR, answer="Hello, you.")
    answer = served.chat(DEAR, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *chunks, done = events(answer.text)
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "Hello, you."
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_its_headers_say_who_serves(served: Served) -> None:
    headers = served.chat(MIDDLE, stream=True).headers
    assert headers["x-optimizer-call-id"] == served.last.selection.call_id
    assert (headers["x-optimizer-model"], headers["x-optimizer-degraded"]) == (MIDDLE, "false")
    assert float(headers["x-optimizer-propensity"]) == served.last.selection.propensity
    assert headers["x-optimizer-feedback-token"]


def test_who_stands_in_is_known_at_the_first_token(serve: Serve, fake: FakeServer) -> None:
    served = serve(
        pool("objective: quality", f"routing: {{retries: 0, rules: [{{name: r, condition: 'true', model: {DEAR}}}]}}")
    )
    fake.play(Script(models={DEAR: ModelScript(troubles=(Trouble(fault="server_error"),))}))
    headers = served.chat(stream=True).headers
    assert headers["x-optimizer-degraded"] == "true"
    assert headers["x-optimizer-model"] == served.last.attempts[-1].model_id != DEAR


def test_it_begins_before_it_ends(served: Served, fake: FakeServer) -> None:
    only(fake, DEAR, **SLOW)
    with served.client.stream("POST", CHAT, json={"model": DEAR, "messages": HELLO, "stream": True}) as answer:
        lines = answer.iter_lines()  # the connection ends with it
        assert next(lines).startswith("data: ")
        assert fake.n_open == 1


@pytest.mark.parametrize(("fault", "status"), [("server_error", 502), ("rate_limit:3", 429), ("context_length", 400)])
def test_a_failure_before_the_first_token_is_an_ordinary_answer(
    served: Served, fake: FakeServer, fault: str, status: int
) -> None:
    fake.play(Script(troubles=(Trouble(fault=fault),)))
    answer = served.chat(DEAR, stream=True)
    assert answer.status_code == status
    assert error_of(answer)


@pytest.mark.parametrize("fault", ["error_midway", "cut", "broken", "ends_early"])
def test_a_failure_after_it_is_an_event_and_no_done_follows(served: Served, fake: FakeServer, fault: str) -> None:
    only(fake, DEAR, output_tokens=40, troubles=(Trouble(fault=fault),))
    answer = served.chat(DEAR, stream=True)
    *_, last = events(answer.text)
    assert answer.status_code == 200
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert served.last.attempts[-1].error_kind == "stream_broken"


def test_usage_comes_only_if_it_is_asked_for(served: Served) -> None:
    without = events(served.chat(DEAR, stream=True).text)
    unasked = events(served.chat(DEAR, stream=True, stream_options={"include_usage": False}).text)
    asked = events(served.chat(DEAR, stream=True, stream_options={"include_usage": True}).text)
    assert not any("usage" in chunk for chunk in without[:-1] + unasked[:-1])
    assert all(chunk["choices"] for chunk in without[:-1])
    assert (asked[-2]["choices"], asked[-2]["usage"]["completion_tokens"]) == ([], 24)
    assert all(call.attempts[0].usage for call in served.calls())  # we know it all the same


def test_tool_calls_are_streamed(served: Served) -> None:
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
    *chunks, _ = events(served.chat(DEAR, stream=True, tools=[tool]).text)
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls") or ()]
    assert calls[0]["function"]["name"] == "now"
    assert json.loads("".join(call["function"].get("arguments") or "" for call in calls)) is not None


def test_a_client_that_leaves_in_the_middle_ends_the_call_which_is_costed(served: Served, fake: FakeServer) -> None:
    only(fake, DEAR, **SLOW)
    with served.client.stream("POST", CHAT, json={"model": DEAR, "messages": HELLO, "stream": True}) as answer:
        call_id = answer.headers["x-optimizer-call-id"]
        next(answer.iter_lines())
    assert until(lambda: fake.n_open == 0)
    assert until(lambda: served.last.attempts)
    (attempt,) = served.optimizer.call(call_id).attempts
    assert (attempt.served, attempt.error_kind, attempt.cost_source) == (False, "cancelled", "estimated")
    assert 0 < (attempt.usage.output_tokens if attempt.usage else 0) < 200


def test_a_client_that_does_not_read_holds_up_its_stream_alone(served: Served, fake: FakeServer) -> None:
    only(fake, DEAR, answer="word " * 400_000, output_tokens=400_000)
    with served.client.stream("POST", CHAT, json={"model": DEAR, "messages": HELLO, "stream": True}):
        assert served.chat(MIDDLE).status_code == 200
    assert until(lambda: fake.n_open == 0)


def test_a_reply_from_the_cache_is_streamed_too(serve: Serve) -> None:
    served = serve(pool("objective: quality", "cache: {enabled: true}"))
    served.chat(DEAR)
    answer = served.chat(DEAR, stream=True)
    chunk, done = events(answer.text)
    assert (done, chunk["object"], "usage" in chunk) == ("[DONE]", "chat.completion.chunk", False)
    assert answer.headers["x-optimizer-model"] == DEAR
    assert "x-optimizer-propensity" not in answer.headers
