"""Values come back into a stream, wherever its chunks cut a placeholder."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from optimizer.calling.redaction import Restoration

VALUES = {"EMAIL_1": "alice@example.com", "EMAIL_12": "bob@example.com", "IP_3": "203.0.113.9", "SECRET_1": 'a"b\nc'}
BACK = Restoration(VALUES)

fragments = st.sampled_from(
    ["[EMAIL_1]", "[EMAIL_12]", "EMAIL_1", "EMAIL_12", "[email_1]", r"\[EMAIL\_1\]", r"\\[IP_3\\]", "[IP 3]", "IP_3",
     "[", "]", "\\", "E", "EM", "EMAIL", "_", "1", "12", "99999", " ", "x", "[ ", "IP", "[IP", "3", "-", "é"]
)  # fmt: skip
texts = st.lists(fragments, max_size=12).map("".join)


@given(texts, st.lists(st.integers(0, 80), max_size=12), st.booleans())
def test_any_split_of_a_text_is_restored_like_the_whole(text: str, cuts: list[int], as_json: bool) -> None:
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    stream = BACK.stream()
    out = [stream.feed("0.content", text[start:end], as_json) for start, end in pairwise(bounds)]
    assert "".join([*out, stream.flush("0.content")]) == BACK.restore(text, as_json=as_json)


def test_only_what_may_become_a_placeholder_is_held_back() -> None:
    stream = BACK.stream()
    assert [stream.feed("a", text) for text in ("Hi [", "EMA", "n]", " [EMAIL_1", "2", "] EMAIL_1", ".")] == [
        "Hi ",
        "",
        "[EMAn]",
        " ",
        "",
        "bob@example.com ",
        "alice@example.com.",
    ]


def test_each_text_has_a_state_of_its_own() -> None:
    stream = BACK.stream()
    assert (stream.feed("a", "[EMA"), stream.feed("b", "[IP_")) == ("", "")
    assert (stream.feed("a", "IL_1]"), stream.feed("b", "3]")) == ("alice@example.com", "203.0.113.9")


def test_nothing_is_held_back_where_nothing_was_redacted() -> None:
    stream = Restoration({}).stream()
    assert stream.feed("a", "[EMAIL_") == "[EMAIL_"
    assert stream.rest() is None


def chunk(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"id": "x", "choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}


def called(arguments: str, index: int = 0) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


def test_the_chunk_that_ends_a_choice_brings_what_was_held_back() -> None:
    stream = BACK.stream()
    assert stream.chunk(chunk({"content": "ask EMAIL_1"}))["choices"][0]["delta"] == {"content": "ask "}
    assert stream.chunk(chunk({}, "stop"))["choices"][0]["delta"] == {"content": "alice@example.com"}
    assert stream.rest() is None


def test_arguments_of_streamed_tool_calls_stay_json() -> None:
    stream = BACK.stream()
    deltas = [called('{"k": "[SEC'), called('{"to": "[EMA', 1), called('RET_1]"}'), called('IL_1]"}', 1)]
    calls = [stream.chunk(chunk(delta))["choices"][0]["delta"]["tool_calls"][0] for delta in deltas]
    first, second = ("".join(c["function"]["arguments"] for c in calls if c["index"] == i) for i in (0, 1))
    assert json.loads(first) == {"k": 'a"b\nc'}
    assert json.loads(second) == {"to": "alice@example.com"}


def test_arguments_held_back_come_with_the_last_chunk() -> None:
    stream = BACK.stream()
    stream.chunk(chunk(called('{"to": "[EMAIL')))
    assert stream.chunk(chunk({}, "length"))["choices"][0]["delta"] == called("[EMAIL")


def test_choices_of_one_stream_do_not_mix() -> None:
    stream = BACK.stream()
    stream.chunk(chunk({"content": "[EMAIL"}))
    assert stream.chunk(chunk({"content": "_1]"}, index=1))["choices"][0]["delta"] == {"content": "_1]"}
    assert stream.chunk(chunk({"content": "_12]"}))["choices"][0]["delta"] == {"content": "bob@example.com"}


def test_a_stream_that_breaks_off_gives_up_what_it_held_back() -> None:
    stream = BACK.stream()
    stream.chunk(chunk({"content": "hello [EMAIL_"}))
    stream.chunk(chunk({"reasoning": "see IP_3"}))
    assert stream.rest() == {"choices": [{"index": 0, "delta": {"content": "[EMAIL_", "reasoning": "203.0.113.9"}}]}


def test_a_chunk_with_usage_only_passes_through() -> None:
    body = {"choices": [], "usage": {"total_tokens": 3}}
    assert BACK.stream().chunk(body) is body
