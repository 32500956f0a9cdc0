"""Streams over real sockets: however the bytes fall, wherever they end, and whoever leaves first."""

import asyncio

import pytest

from optimizer.errors import (
    ConnectionBroken,
    ContextLengthExceeded,
    GatewayTimeout,
    InvalidReply,
    RateLimited,
    ServerFailed,
    StreamBroken,
    Unauthorized,
)
from tests.gateway.calls import asking, call, caught, direct, read_all, streamed, text_of
from tests.gateway.loopback import REPLY, event, http_reply, one_by_one, raw, replying, streaming, token

DONE = b"data: [DONE]\n\n"
ROLE = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
STOP = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
USAGE = event(choices=[], usage={"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15})
WHOLE = (ROLE, token("Hel"), token("lo."), STOP, USAGE, DONE)


def test_a_stream_comes_in_chunks_and_ends_with_its_usage() -> None:
    chunks, error = streamed(streaming(*WHOLE))
    assert (text_of(chunks), error) == ("Hello.", None)
    assert [chunk.has_output for chunk in chunks] == [False, True, True, False, False]
    assert chunks[3].finish_reason == "stop"
    assert (chunks[4].usage.input_tokens, chunks[4].usage.output_tokens) == (12, 3)


def test_comments_and_other_fields_are_passed_over() -> None:
    noise = b": OPENROUTER PROCESSING\n\n", b"event: message\nid: 7\nretry: 10\n\n", b"\n\n"
    chunks, error = streamed(streaming(*noise, *WHOLE))
    assert (text_of(chunks), error) == ("Hello.", None)


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
def test_lines_may_end_otherwise(newline: bytes) -> None:
    chunks, error = streamed(streaming(*(piece.replace(b"\n", newline) for piece in WHOLE)))
    assert (text_of(chunks), error) == ("Hello.", None)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_packets_may_end_anywhere_even_inside_a_letter(size: int) -> None:
    said = 'data: {"choices": [{"delta": {"content": "Grüße 👋\u2028\u0085."}, "finish_reason": "stop"}]}\n\n'.encode()
    pieces = [said[start : start + size] for start in range(0, len(said), size)]
    chunks, error = streamed(streaming(*pieces, DONE))
    assert (text_of(chunks), error) == ("Grüße 👋\u2028\u0085.", None)


def test_an_event_may_have_several_lines_and_any_media_type_that_is_no_other() -> None:
    said = b'data: {"choices":\ndata: [{"delta": {"content": "Hello."}, "finish_reason": "stop"}]}\n\n'
    chunks, error = streamed(streaming(said, DONE, kind="application/octet-stream"))
    assert (text_of(chunks), error) == ("Hello.", None)


@pytest.mark.parametrize("end", [(), (DONE.strip(),), (DONE.strip() + b"\n",)])
def test_the_end_may_lack_done_or_its_blank_line(end: tuple[bytes, ...]) -> None:
    chunks, error = streamed(streaming(token("Hello."), STOP, USAGE.strip(), b"\n\n", *end))
    assert (text_of(chunks), error) == ("Hello.", None)
    assert chunks[-1].usage is not None


def test_a_last_event_without_its_blank_line_counts() -> None:
    chunks, error = streamed(streaming(token("Hello."), STOP.strip()))
    assert (chunks[-1].finish_reason, error) == ("stop", None)


def test_a_choice_without_index_and_usage_in_every_chunk_are_taken() -> None:
    """Portkey makes the first of OpenRouter's usage chunk; Gemini counts all along."""
    said = event(choices=[{"delta": {"content": "Hi"}}], usage={"prompt_tokens": 1, "completion_tokens": 1})
    chunks, error = streamed(streaming(said, event(choices=[{}], usage=None), STOP, DONE))
    assert (text_of(chunks), error) == ("Hi", None)
    assert chunks[0].usage.output_tokens == 1


def test_an_end_without_finish_reason_before_a_token_is_a_broken_connection() -> None:
    assert type(streamed(streaming(ROLE))[1]) is ConnectionBroken


def test_an_end_without_finish_reason_after_a_token_breaks_the_stream() -> None:
    chunks, error = streamed(streaming(ROLE, token("Hel")))
    assert text_of(chunks) == "Hel"
    assert type(error) is StreamBroken
    assert error.code == "connection_broken"


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize(("before", "kind"), [((ROLE,), ConnectionBroken), ((token("Hel"),), StreamBroken)])
def test_a_cut_inside_an_event_is_no_end(before: tuple[bytes, ...], kind: type[Exception], cut: bool) -> None:
    assert type(streamed(streaming(*before, token("lo.")[:30], cut=cut))[1]) is kind


def test_garbage_inside_a_stream_is_an_invalid_reply() -> None:
    assert type(streamed(streaming(b"data: garbage\n\n", *WHOLE))[1]) is InvalidReply


@pytest.mark.parametrize("nothing", [DONE, b": only a comment\n\n"])
def test_a_stream_of_nothing_is_no_reply(nothing: bytes) -> None:
    assert type(streamed(streaming(nothing))[1]) in (InvalidReply, ConnectionBroken)


ERROR = event(
    error={"code": 429, "message": "slow", "metadata": {"error_type": "rate_limit_exceeded"}},
    choices=[{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
)


def test_an_error_chunk_before_a_token_is_that_error() -> None:
    assert type(streamed(streaming(ROLE, ERROR))[1]) is RateLimited


def test_an_error_chunk_after_a_token_breaks_the_stream() -> None:
    error = streamed(streaming(token("Hel"), ERROR))[1]
    assert (type(error), error.code, error.status) == (StreamBroken, "rate_limit_exceeded", 429)


@pytest.mark.parametrize("reason", ["error", "overloaded_error", "api_error"])
def test_an_error_may_be_a_finish_reason_only(reason: str) -> None:
    said = event(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])
    assert type(streamed(streaming(said, DONE))[1]) is ServerFailed


def test_an_error_of_200_instead_of_a_stream_is_that_error() -> None:
    body = {"error": {"code": 400, "message": "no", "metadata": {"error_type": "context_length_exceeded"}}}
    assert type(streamed(replying(body))[1]) is ContextLengthExceeded


@pytest.mark.parametrize(("body", "kind"), [(REPLY, "application/json"), (b"<html>", "text/html; charset=utf-8")])
def test_what_is_no_stream_is_an_invalid_reply(body: object, kind: str) -> None:
    assert type(streamed(replying(body, headers={"content-type": kind}))[1]) is InvalidReply


def test_a_status_before_the_stream_is_that_error() -> None:
    assert type(streamed(replying({"error": {"message": "no"}}, status=401))[1]) is Unauthorized


def test_a_refused_key_is_tried_with_the_second_one_before_a_stream() -> None:
    async def ask(client, server) -> list[str]:
        _, error = await read_all(client, call())
        assert error is None
        return [asked.headers["authorization"] for asked in server.asked]

    answers = one_by_one(replying({}, status=401), streaming(*WHOLE))
    found, _ = asking(answers, ask, client=lambda url: direct(url, "old", "new"))
    assert found == ["Bearer old", "Bearer new"]


def test_a_first_token_that_does_not_come_is_a_timeout_whatever_the_comments() -> None:
    waiting = [piece for _ in range(30) for piece in (b": OPENROUTER PROCESSING\n\n", 0.02)]
    assert type(streamed(streaming(*waiting, *WHOLE), call(timeout_s=0.1))[1]) is GatewayTimeout


def test_a_pause_between_tokens_breaks_the_stream() -> None:
    error = streamed(streaming(token("Hel"), 1.0, *WHOLE), call(timeout_s=0.1))[1]
    assert (type(error), error.code) == (StreamBroken, "timeout")


def test_a_long_stream_without_long_pauses_is_no_timeout() -> None:
    slow = [piece for _ in range(10) for piece in (token("a"), 0.02)]
    assert streamed(streaming(*slow, STOP, DONE), call(timeout_s=0.15))[1] is None


def test_a_stream_read_to_its_end_gives_its_connection_back() -> None:
    async def twice(client, server) -> None:
        await read_all(client, call())
        await read_all(client, call())

    assert asking(streaming(*WHOLE), twice)[1].n_connections == 1


def test_a_stream_that_ended_stays_ended() -> None:
    async def ask(client, server) -> list[object]:
        async with client.stream(call()) as stream:
            _ = [chunk async for chunk in stream]
            return [chunk async for chunk in stream]

    assert asking(streaming(*WHOLE), ask)[0] == []


def test_leaving_the_context_hangs_up_at_once() -> None:
    async def ask(client, server) -> str:
        async with client.stream(call()) as stream:
            first = await anext(stream)
        await asyncio.wait_for(server.hung_up.wait(), 1.0)
        return first.text

    assert asking(streaming(token("Hel"), 10.0), ask)[0] == "Hel"


@pytest.mark.parametrize("before", [(10.0,), (token("Hel"), 10.0)])
def test_cancelling_hangs_up_at_once_and_stays_a_cancellation(before: tuple[bytes | float, ...]) -> None:
    async def ask(client, server) -> bool:
        reading = asyncio.create_task(read_all(client, call()))
        await asyncio.sleep(0.05)
        reading.cancel()
        await asyncio.wait([reading])
        await asyncio.wait_for(server.hung_up.wait(), 1.0)
        return reading.cancelled()

    assert asking(streaming(*before), ask)[0]


def test_streams_that_are_left_leave_no_task_behind() -> None:
    async def ask(client, server) -> set[str]:
        for _ in range(20):
            async with client.stream(call()) as stream:
                await anext(stream)
        await asyncio.sleep(0.05)
        return {task.get_coro().__qualname__ for task in asyncio.all_tasks() - {asyncio.current_task()}}

    left, _ = asking(streaming(token("Hel"), 10.0), ask)
    assert not [name for name in left if "loopback" not in name]


def test_a_stream_that_never_begins_is_a_gateway_error_at_the_door() -> None:
    async def ask(client, server) -> Exception:
        async def enter() -> None:
            async with client.stream(call()):
                raise AssertionError("the context was entered")

        return await caught(enter())

    assert type(asking(raw(b""), ask)[0]) is ConnectionBroken


def test_an_error_of_the_reader_itself_passes() -> None:
    async def ask(client, server) -> None:
        async with client.stream(call()) as stream:
            async for _ in stream:
                raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asking(streaming(*WHOLE), ask)


def test_a_stream_that_is_not_chunked_ends_with_its_connection() -> None:
    head = http_reply(b"", headers={"content-type": "text/event-stream"}).replace(b"content-length: 0\r\n", b"")
    chunks, error = streamed(raw(head + b"".join(WHOLE)))
    assert (text_of(chunks), error) == ("Hello.", None)
