"""Assembling a stream: OpenAI's own pieces, those of providers that leave things out, and any way of cutting."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from optimizer.calling.assembly import Assembly


def assembled(chunks: Iterable[dict[str, Any]]) -> Assembly:
    assembly = Assembly()
    for chunk in chunks:
        assembly.add(chunk)
    return assembly


def chunk(delta: Any, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more}


def message(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = assembled(chunks).body["choices"][0]["message"]
    return found


def test_pieces_become_a_whole_reply() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    stream = [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo."}),
        chunk({}, "stop"),
        {"id": "c1", "model": "m", "choices": [], "usage": usage},
    ]
    assembly = assembled(stream)
    assert assembly.text == "Hello."
    assert assembly.body == {
        "object": "chat.completion",
        "id": "c1",
        "model": "m",
        "usage": usage,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello.", "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
    }


def test_nothing_is_a_reply_without_choices() -> None:
    assert Assembly().body == {"object": "chat.completion", "choices": []}
    assert Assembly().text == ""


def test_tool_calls_grow_by_index() -> None:
    stream = [
        chunk(
            {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}
        ),
        chunk(
            {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{"}}]}
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]}),
        chunk(
            {
                "tool_calls": [
                    {"index": 1, "function": {"arguments": "}"}},
                    {"index": 0, "function": {"arguments": "1}"}},
                ]
            }
        ),
        chunk({}, "tool_calls"),
    ]
    found = message(stream)
    assert found["content"] is None
    assert found["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_tool_calls_without_index_begin_with_each_new_id() -> None:
    stream = [
        chunk({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]}),
        chunk({"tool_calls": [{"function": {"arguments": "}"}}]}),
        chunk({"tool_calls": [{"id": "b", "function": {"name": "g", "arguments": {"x": 1}}}]}),
    ]
    calls = message(stream)["tool_calls"]
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [("a", "{}"), ("b", '{"x": 1}')]


def test_a_name_that_is_repeated_is_kept_once() -> None:
    delta = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "1"}}]}
    assert message([chunk(delta), chunk(delta)])["tool_calls"][0]["function"] == {"name": "f", "arguments": "11"}


def test_choices_grow_apart_and_one_without_index_is_the_first() -> None:
    stream = [
        {"choices": [{"index": 1, "delta": {"content": "b"}}]},
        {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]},
    ]
    assembly = assembled(stream)
    assert [choice["message"]["content"] for choice in assembly.body["choices"]] == ["a", "b"]
    assert assembly.text == "a"


def test_reasoning_refusal_images_and_logprobs_come_along() -> None:
    logprobs = {"content": [{"token": "a"}], "refusal": None}
    stream = [
        chunk({"reasoning": "hm", "reasoning_details": [1], "images": [{"type": "image_url"}]}),
        chunk({"reasoning": "m", "refusal": "No", "reasoning_details": [2]}),
    ]
    stream[0]["choices"][0]["logprobs"] = stream[1]["choices"][0]["logprobs"] = logprobs
    found = message(stream)
    assert (found["reasoning"], found["refusal"], found["content"]) == ("hmm", "No", None)
    assert (found["reasoning_details"], found["images"]) == ([1, 2], [{"type": "image_url"}])
    assert assembled(stream).body["choices"][0]["logprobs"] == {"content": [{"token": "a"}] * 2}


def test_what_the_assembly_gives_is_not_changed_by_what_comes_later() -> None:
    assembly = assembled([chunk({"images": [1]})])
    before = assembly.body
    assembly.add(chunk({"images": [2]}))
    assert before["choices"][0]["message"]["images"] == [1]


@given(st.text(), st.lists(st.integers(0, 50), max_size=5))
def test_any_cut_gives_the_same_text(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert assembled(chunk({"content": piece}) for piece in pieces).text == text


names = [
    "choices",
    "index",
    "delta",
    "content",
    "tool_calls",
    "id",
    "function",
    "name",
    "arguments",
    "finish_reason",
    "type",
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=4),
    max_leaves=25,
)


@given(st.lists(st.dictionaries(st.sampled_from(["choices", "usage", "id"]), anything), max_size=4))
def test_whatever_comes_is_taken(chunks: list[dict[str, Any]]) -> None:
    assert isinstance(assembled(chunks).body["choices"], list)
