"""Values come back where a reply names their placeholders, in whatever form, and nowhere else."""

import json

import pytest

from optimizer.calling.redaction import Restoration

BACK = Restoration({"EMAIL_1": "alice@example.com", "EMAIL_12": "bob@example.com", "SECRET_1": 'a"b\nc'})
ALICE, BOB = "alice@example.com", "bob@example.com"


@pytest.mark.parametrize(
    ("said", "restored"),
    [
        ("[EMAIL_1]", ALICE),
        ("[email_1] and [Email_12]", f"{ALICE} and {BOB}"),
        ("[ EMAIL_1 ]", ALICE),
        (r"\[EMAIL_1\]", ALICE),
        (r"\[EMAIL\_1\]", ALICE),
        (r"[EMAIL\_1]", ALICE),
        ("[EMAIL 1], [EMAIL-1], [EMAIL1]", f"{ALICE}, {ALICE}, {ALICE}"),
        ("【EMAIL_1】", ALICE),
        ("EMAIL_1, EMAIL_12.", f"{ALICE}, {BOB}."),
        ("(EMAIL_1) <EMAIL_1> `EMAIL_1`", f"({ALICE}) <{ALICE}> `{ALICE}`"),
        ("[EMAIL_1](mailto:EMAIL_1)", f"{ALICE}(mailto:{ALICE})"),
        ("[[EMAIL_1]]", f"[{ALICE}]"),
        ("[EMAIL_1, EMAIL_12]", f"[{ALICE}, {BOB}]"),
    ],
)
def test_the_forms_that_models_make_of_a_placeholder_are_restored(said: str, restored: str) -> None:
    assert BACK.restore(said) == restored


@pytest.mark.parametrize(
    "said",
    [
        "[EMAIL_2]",
        "[PHONE_1]",
        "email_1 = 3",
        "[Email 1]",
        "MY_EMAIL_1",
        "EMAIL_123",
        "EMAIL_1_A",
        "[EMAIL_01]",
        "EMAIL",
    ],
)
def test_what_only_looks_like_a_placeholder_stays(said: str) -> None:
    assert BACK.restore(said) == said


def test_a_value_never_given_back_twice_is_no_placeholder_itself() -> None:
    """A value is put in as it is, even where it reads like a placeholder."""
    assert Restoration({"CUSTOM_1": "[CUSTOM_2]", "CUSTOM_2": "x"}).restore("[CUSTOM_1]") == "[CUSTOM_2]"


def test_a_reply_is_restored_everywhere_and_not_changed() -> None:
    call = {"id": "1", "function": {"name": "send", "arguments": '{"to": "[EMAIL_1]", "key": "[SECRET_1]"}'}}
    message = {"content": "Hi [EMAIL_1]", "refusal": None, "reasoning": "ask [EMAIL_12]", "tool_calls": [call]}
    reply = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    restored = BACK.restore_body(reply)["choices"][0]["message"]
    assert (restored["content"], restored["reasoning"]) == (f"Hi {ALICE}", f"ask {BOB}")
    assert json.loads(restored["tool_calls"][0]["function"]["arguments"]) == {"to": ALICE, "key": 'a"b\nc'}
    assert message["content"] == "Hi [EMAIL_1]"


def test_parts_of_content_are_restored() -> None:
    reply = {"choices": [{"message": {"content": [{"type": "text", "text": "[EMAIL_1]"}, {"type": "x"}]}}]}
    content = BACK.restore_body(reply)["choices"][0]["message"]["content"]
    assert content == [{"type": "text", "text": ALICE}, {"type": "x"}]


def test_content_that_was_asked_to_be_json_stays_json() -> None:
    back = Restoration({"SECRET_1": 'a"b\nc'}, json_content=True)
    reply = {"choices": [{"message": {"content": '{"key": "[SECRET_1]"}'}}]}
    assert json.loads(back.restore_body(reply)["choices"][0]["message"]["content"]) == {"key": 'a"b\nc'}


@pytest.mark.parametrize("body", [{}, {"choices": None}, {"choices": [None, {}, {"message": None}]}, {"error": {}}])
def test_a_reply_without_messages_passes_through(body: dict) -> None:
    assert BACK.restore_body(body) == body


def test_nothing_redacted_restores_nothing() -> None:
    body = {"choices": [{"message": {"content": "[EMAIL_1]"}}]}
    assert Restoration({}).restore_body(body) is body
