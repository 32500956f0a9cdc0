"""Streams come as each gateway sends them, slowly where asked, and go wrong in every way that a client must survive."""

import time

import httpx
import pytest

from optimizer.simulation.fake_gateway import FakeServer, ModelScript, Script, running_gateway
from tests.simulation.fake_calls import PLAIN, ask, chunks, said

ASKED = {"stream": True, "stream_options": {"include_usage": True}}
ANTHROPIC = "@anthropic/claude-haiku-4-5"


def _stream(server: FakeServer, fault: str = "", **body: object) -> str:
    reply = ask(server, "openrouter", fault=fault, stream=True, **body)
    return reply.text


def _receive(server: FakeServer, fault: str, packets: list[bytes]) -> None:
    """Append what comes of a stream, packet by packet, also where it breaks."""
    body = {"model": "openai/gpt-4o", "messages": [], "stream": True}
    address, headers = f"{server.openrouter_url}/chat/completions", {"x-fake-fault": fault}
    with httpx.stream("POST", address, json=body, headers=headers, timeout=20.0, **PLAIN) as reply:
        for packet in reply.iter_raw():  # one by one, as the last may not come
            packets.append(packet)  # noqa: PERF402


def test_openrouter_opens_with_a_comment_and_ends_with_usage(server: FakeServer) -> None:
    text = _stream(server)
    assert text.startswith(": OPENROUTER PROCESSING\n\n")
    assert chunks(text)[-1]["choices"] == []
    assert [chunk["usage"]["cost"] > 0 for chunk in chunks(text) if "usage" in chunk] == [True]


def test_openai_sends_usage_where_it_is_asked_only(server: FakeServer) -> None:
    asked, unasked = (chunks(ask(server, "direct", **body).text) for body in (ASKED, {"stream": True}))
    assert [chunk["usage"] is None for chunk in asked] == [True] * (len(asked) - 1) + [False]
    assert not any("usage" in chunk for chunk in unasked)


def test_anthropics_usage_stands_on_the_last_delta(server: FakeServer) -> None:
    found = chunks(ask(server, model=ANTHROPIC, max_tokens=50, stream=True).text)
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert "cache_read_input_tokens" in found[-1]["usage"]
    assert found[0]["id"].startswith("anthropic-")


def test_geminis_chunks_all_carry_the_usage_so_far(server: FakeServer) -> None:
    found = chunks(ask(server, model="@google/gemini-2.5-flash", stream=True).text)
    counts = [chunk["usage"]["completion_tokens"] for chunk in found]
    assert counts == sorted(counts)
    assert counts[-1] == 24


def test_openrouters_usage_behind_portkey_has_a_choice_without_index(server: FakeServer) -> None:
    found = chunks(ask(server, model="@openrouter/openai/gpt-4o", stream=True).text)
    assert found[-1]["choices"] == [{"delta": {}}]
    assert found[-1]["usage"]["cost"] > 0
    assert found[0]["choices"][0]["delta"]["content"] == ""


@pytest.mark.parametrize(
    ("fault", "end"), [("no_done", '"is_byok":false'), ("no_usage", "[DONE]"), ("ends_early", '"delta"')]
)
def test_a_stream_may_lack_its_end(server: FakeServer, fault: str, end: str) -> None:
    text = _stream(server, fault)
    last = text.rstrip().split("\n\n")[-1]
    assert end in last
    assert ("usage" in text) == (fault == "no_done")


def test_comments_and_crlf_leave_the_text_as_it_is(server: FakeServer) -> None:
    plain = said(_stream(server))
    assert ": keep-alive\n\n" in _stream(server, "comments")
    assert said(_stream(server, "comments")) == plain
    assert "\r\n\r\n" in _stream(server, "crlf")
    assert said(_stream(server, "crlf")) == plain


def test_characters_are_split_over_packets(server: FakeServer) -> None:
    packets: list[bytes] = []
    _receive(server, "split_utf8", packets)
    assert any(packet[-1] >= 0xC0 for packet in packets)
    assert said(b"".join(packets).decode()).startswith("Grüße — 你好 🙂")


def test_an_error_comes_after_some_tokens(server: FakeServer) -> None:
    text = _stream(server, "error_midway")
    last = chunks(text)[-1]
    assert (last["error"]["code"], last["choices"][0]["finish_reason"]) == (502, "error")
    assert said(text)
    assert "[DONE]" not in text


def test_each_gateway_tells_of_an_error_midway_in_its_own_way(server: FakeServer) -> None:
    behind = chunks(ask(server, model="@openrouter/x/y", fault="error_midway", stream=True).text)[-1]
    anthropic = chunks(ask(server, model=ANTHROPIC, max_tokens=50, fault="error_midway", stream=True).text)[-1]
    direct = chunks(ask(server, "direct", fault="error_midway", stream=True).text)[-1]
    assert (behind["choices"][0]["finish_reason"], "error" in behind) == ("error", False)
    assert anthropic["choices"][0]["finish_reason"] == "overloaded_error"
    assert direct["error"]["type"] == "server_error"


@pytest.mark.parametrize("fault", ["cut", "broken"])
def test_tokens_come_before_a_stream_breaks(server: FakeServer, fault: str) -> None:
    packets: list[bytes] = []
    with pytest.raises(httpx.TransportError):
        _receive(server, fault, packets)
    received = b"".join(packets)
    assert b'"content":"The"' in received
    assert not received.endswith(b"\n\n")


def test_slow_tokens_take_their_time() -> None:
    """Not before 0.05 s for the first token and 5 of 0.02 s each."""
    script = Script(default=ModelScript(ttft_s=0.05, tokens_per_s=50.0, output_tokens=5))
    with running_gateway(script) as server:
        began = time.monotonic()
        ask(server, stream=True)
        assert time.monotonic() - began > 0.12
