"""What is counted in a text and in a request."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.calling.token_features import FEATURES, IMAGE_TOKENS, N_TEXT, body_features, features


def counted(text: str) -> dict[str, int]:
    return {name: int(n) for name, n in zip(FEATURES, features(text), strict=True) if n}


def asked(content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **more}


def of_body(body: dict[str, Any], name: str) -> float:
    return body_features(body)[FEATURES.index(name)]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", {}),
        ("Hello world", {"words": 2, "long": 0, "capitals": 1}),
        ("abcdefghij", {"words": 1, "long": 3}),
        ("12 345", {"digits": 5, "numbers": 2}),
        ("a(b)):", {"words": 2, "signs": 4, "sign_runs": 2}),
        ("a\n\nb\n  c", {"words": 3, "lines": 2, "indents": 1}),
        ("über Grüße", {"words": 2, "capitals": 1, "latin": 3}),
        ("привет", {"words": 1, "two_bytes": 6}),
        ("日本", {"words": 1, "cjk": 2}),
        ("한국 ไทย", {"words": 2, "hangul": 2, "three_bytes": 3}),
        ("“x” 🙂", {"words": 2, "symbols": 2, "emoji": 1}),
    ],
)
def test_letters_words_and_runs_are_counted(text: str, counts: dict[str, int]) -> None:
    assert counted(text) == {name: n for name, n in counts.items() if n}


def test_half_a_surrogate_pair_is_counted_too() -> None:
    assert features("\ud83d").sum() > 0


@given(st.text(), st.text())
def test_no_count_falls_when_a_text_grows(left: str, right: str) -> None:
    whole = features(left + right)
    assert (whole >= features(left)).all()
    assert (whole >= features(right)).all()


def test_every_message_and_tool_is_a_turn_and_so_is_the_reply() -> None:
    body = {"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}], "tools": [{"x": 1}]}
    assert of_body(body, "turns") == 4
    assert of_body(body, "has_tools") == 1
    assert of_body(asked("a"), "has_tools") == 0


@pytest.mark.parametrize(
    "body",
    [
        asked("five words are in here"),
        asked([{"type": "text", "text": "five words"}, {"type": "text", "text": "are in here"}]),
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"function": {"name": "five words", "arguments": "a b c"}}]}
            ]
        },
        {"messages": [{"role": "user", "name": "five words", "content": "a b c"}]},
    ],
)
def test_every_text_of_a_message_is_counted(body: dict[str, Any]) -> None:
    assert of_body(body, "words") == 5


def test_schemas_of_tools_and_replies_are_counted() -> None:
    """Of the tool: type, function, function, name, f, description, one, two, three."""
    tool = {"type": "function", "function": {"name": "f", "description": "one two three"}}
    assert of_body(asked("", tools=[tool]), "words") == 9
    assert of_body(asked("", response_format={"type": "text"}), "words") == 2


def test_images_are_counted_by_their_detail_and_their_data_not_at_all() -> None:
    data = "data:image/png;base64," + "A" * 100_000
    images = [{"type": "image_url", "image_url": {"url": data, **detail}} for detail in ({}, {"detail": "low"})]
    assert of_body(asked(images), "media") == IMAGE_TOKENS["auto"] + IMAGE_TOKENS["low"] == 850
    assert of_body(asked(images), "words") == 0


def test_audio_and_files_are_counted_by_their_length() -> None:
    """2,000 letters of audio are 2 tokens, 100,000 of a file are two pages of 1,500."""
    audio = {"type": "input_audio", "input_audio": {"data": "A" * 2_000, "format": "mp3"}}
    file = {"type": "file", "file": {"file_data": "A" * 100_000}}
    assert of_body(asked([audio, file]), "media") == 2 + 3_000


@pytest.mark.parametrize("body", [{}, {"messages": None}, {"messages": ["x", {"content": None}, {"content": [1]}]}])
def test_a_malformed_request_is_counted_all_the_same(body: dict[str, Any]) -> None:
    assert of_body(body, "words") == 0


def test_texts_that_were_counted_before_count_the_same() -> None:
    chat = [{"role": "user", "content": "Two  words,\n12 times"}, {"role": "assistant", "content": "Wörter! 😀"}]
    first = body_features({"messages": chat[:1]})
    both, again = body_features({"messages": chat}), body_features({"messages": chat})
    assert both.tolist() == again.tolist()
    assert (both - first)[:N_TEXT].tolist() == features("Wörter! 😀")[:N_TEXT].tolist()
    assert body_features({"messages": chat[:1]}).tolist() == first.tolist()
