"""Free ratings: what each kind of reply is rated, by hand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.calling.checks import CHECKS, free_ratings

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
POINT = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"], "additionalProperties": False}
AS_POINT = {**ASKED, "response_format": {"type": "json_schema", "json_schema": {"name": "point", "schema": POINT}}}
AS_OBJECT = {**ASKED, "response_format": {"type": "json_object"}}
MOVE = {"type": "function", "function": {"name": "move", "parameters": POINT}}
STOP = {"type": "function", "function": {"name": "stop"}}
WITH_TOOLS = {**ASKED, "tools": [MOVE, STOP]}


def reply(content: Any = "Hi", finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    whole = {"role": "assistant", "content": content, **message}
    return {"choices": [{"index": 0, "finish_reason": finish_reason, "message": whole}]}


def called(*calls: tuple[str, Any]) -> dict[str, Any]:
    made = [{"id": name, "type": "function", "function": {"name": name, "arguments": given}} for name, given in calls]
    return reply(None, "tool_calls", tool_calls=made)


def test_a_good_answer_is_good_in_all_that_can_be_told() -> None:
    assert free_ratings(ASKED, reply()) == dict.fromkeys(CHECKS[:4], 1.0)


def test_names_are_known_to_all() -> None:
    assert set(free_ratings(AS_POINT, reply('{"x": 1}'))) <= set(CHECKS)


def test_an_answer_cut_off_is_truncated() -> None:
    assert free_ratings(ASKED, reply("Once upon", "length"))["not_truncated"] == 0.0


def test_a_filtered_answer_is_filtered_and_refused() -> None:
    ratings = free_ratings(ASKED, reply("", "content_filter"))
    assert (ratings["not_filtered"], ratings["not_refused"], ratings["not_truncated"]) == (0.0, 0.0, 1.0)


def test_an_unknown_ending_is_not_rated() -> None:
    assert set(free_ratings(ASKED, reply(finish_reason=None))) == {"not_refused", "not_empty"}


@pytest.mark.parametrize("nothing", [{}, {"choices": []}, {"choices": None}, {"choices": ["?"]}])
def test_no_answer_at_all_is_empty_and_nothing_else(nothing: dict[str, Any]) -> None:
    assert free_ratings(ASKED, nothing) == {"not_empty": 0.0}


@pytest.mark.parametrize("content", ["", " \n", None, []])
def test_an_answer_without_text_is_empty(content: Any) -> None:
    assert free_ratings(ASKED, reply(content))["not_empty"] == 0.0


def test_tool_calls_are_not_empty() -> None:
    assert free_ratings(WITH_TOOLS, called(("stop", "{}")))["not_empty"] == 1.0


def test_text_in_parts_counts_as_text() -> None:
    parts = [{"type": "text", "text": '{"x": '}, {"type": "text", "text": "1}"}]
    assert free_ratings(AS_POINT, reply(parts))["valid_json"] == 1.0


def test_a_refusal_said_in_its_own_field_is_one() -> None:
    assert free_ratings(ASKED, reply(None, refusal="No."))["not_refused"] == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I cannot assist with that request.",
        "I am very sorry, I am unable to provide instructions for this.",
        "Sorry, I can't do that.",
        "I apologize, but I cannot generate that content.",
        "I can't help with that.",
        "I cannot assist you with this.",
        "I won't engage in that.",
        "Unfortunately, I am not able to help with this request.",
        "As an AI language model, I cannot have opinions about this.",
        "I must decline.",
        "  I have to respectfully decline this request.",
        "I'm sorry. I can't comply.",
    ],
)
def test_a_short_refusal_in_plain_words_is_one(text: str) -> None:
    assert free_ratings(ASKED, reply(text))["not_refused"] == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry to hear that! Have you tried turning it off and on again?",
        "I can't help but admire the question. Paris.",
        "Sorry for the confusion: the answer is 42.",
        "I can help with that.",
        "The clerk said: I'm sorry, but I can't help with that.",
        "I cannot be certain, but the tower is about 330 m high.",
        "You must decline nouns in Latin.",
        "I'm sorry, but I can't help with that. " + "However, here is what is known about the history of it. " * 10,
        "",
    ],
)
def test_what_only_resembles_a_refusal_is_none(text: str) -> None:
    assert free_ratings(ASKED, reply(text))["not_refused"] == 1.0


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ('{"x": 1.5}', 1.0),
        ('{"x": "1.5"}', 0.0),
        ('{"x": 1.5', 0.0),
        ('```json\n{"x": 1.5}\n```', 0.0),
        ("NaN", 0.0),
        (None, 0.0),
        ("[" * 100_000, 0.0),
    ],
)
def test_json_is_held_against_the_schema_asked_for(content: str | None, value: float) -> None:
    assert free_ratings(AS_POINT, reply(content))["valid_json"] == value


@pytest.mark.parametrize(("content", "value"), [('{"y": []}', 1.0), ("[1]", 0.0), ("Sure! {}", 0.0)])
def test_a_json_object_has_to_be_one(content: str, value: float) -> None:
    assert free_ratings(AS_OBJECT, reply(content))["valid_json"] == value


@pytest.mark.parametrize("format_", [None, {"type": "text"}, "json_object", {}])
def test_json_is_not_rated_where_nobody_asked_for_it(format_: Any) -> None:
    assert "valid_json" not in free_ratings({**ASKED, "response_format": format_}, reply("{}"))


def test_json_is_not_rated_where_the_schema_cannot_be_checked() -> None:
    strange = {"type": "json_schema", "json_schema": {"schema": {"$ref": "https://example.org/"}}}
    assert "valid_json" not in free_ratings({**ASKED, "response_format": strange}, reply("{}"))
    assert free_ratings({**ASKED, "response_format": strange}, reply("{"))["valid_json"] == 0.0


def test_json_is_not_rated_where_a_tool_was_called_instead() -> None:
    assert "valid_json" not in free_ratings({**AS_POINT, "tools": [STOP]}, called(("stop", "{}")))


@pytest.mark.parametrize(
    ("calls", "value"),
    [
        ([("move", '{"x": 1}')], 1.0),
        ([("move", {"x": 1})], 1.0),
        ([("move", '{"x": 1}'), ("stop", "")], 1.0),
        ([("stop", None)], 1.0),
        ([("move", "")], 0.0),
        ([("move", '{"y": 1}')], 0.0),
        ([("move", '{"x": 1')], 0.0),
        ([("stop", "[]")], 0.0),
        ([("jump", "{}")], 0.0),
        ([("move", '{"x": 1}'), ("jump", "{}")], 0.0),
    ],
)
def test_tool_calls_are_held_against_the_tools(calls: list[tuple[str, Any]], value: float) -> None:
    assert free_ratings(WITH_TOOLS, called(*calls))["valid_tool_calls"] == value


def test_tool_calls_are_not_rated_where_none_was_needed() -> None:
    assert "valid_tool_calls" not in free_ratings(WITH_TOOLS, reply())
    assert "valid_tool_calls" not in free_ratings({**WITH_TOOLS, "tool_choice": "auto"}, reply())
    assert "valid_tool_calls" not in free_ratings(ASKED, called(("move", "{}")))


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "move"}}])
def test_a_tool_that_had_to_be_called_and_was_not_is_bad(choice: Any) -> None:
    assert free_ratings({**WITH_TOOLS, "tool_choice": choice}, reply())["valid_tool_calls"] == 0.0


def test_another_tool_than_the_one_asked_for_is_bad() -> None:
    choice = {"type": "function", "function": {"name": "move"}}
    assert free_ratings({**WITH_TOOLS, "tool_choice": choice}, called(("stop", "{}")))["valid_tool_calls"] == 0.0
    assert free_ratings({**WITH_TOOLS, "tool_choice": "none"}, called(("stop", "{}")))["valid_tool_calls"] == 0.0


def test_a_custom_tool_takes_any_text() -> None:
    tools = [{"type": "custom", "custom": {"name": "shell"}}]
    call = {"id": "1", "type": "custom", "custom": {"name": "shell", "input": "ls {"}}
    assert (
        free_ratings({**ASKED, "tools": tools}, reply(None, "tool_calls", tool_calls=[call]))["valid_tool_calls"] == 1.0
    )


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "finish_reason", "tool_calls", "function", "name", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
mappings = st.dictionaries(st.sampled_from(["choices", "tools", "tool_choice", "response_format"]), anything)


@given(mappings, mappings)
def test_whatever_comes_is_rated_good_or_bad_or_not_at_all(body: dict[str, Any], found: dict[str, Any]) -> None:
    ratings = free_ratings(json.loads(json.dumps(body)), found)
    assert set(ratings) <= set(CHECKS)
    assert set(ratings.values()) <= {0.0, 1.0}
