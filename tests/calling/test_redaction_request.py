"""Where in a request personal data is looked for, and what a request looks like without it."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given

from optimizer.calling.redaction import Redactor
from optimizer.settings.sections import RedactionSettings
from tests.calling.redaction_values import prompts, values

EVERYTHING = Redactor(RedactionSettings(enabled=True))
ALICE, BOB = "alice@example.com", "bob@example.com"


def asked(content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **more}


def sent(body: dict[str, Any]) -> Any:
    return EVERYTHING.redact(body)[0]


def content(text: str) -> str:
    return sent(asked(text))["messages"][0]["content"]


def test_equal_values_have_equal_placeholders_and_others_their_own() -> None:
    assert content(f"{ALICE}, {BOB}, {ALICE}") == "[EMAIL_1], [EMAIL_2], [EMAIL_1]"


def test_a_placeholder_that_the_prompt_has_already_is_not_given_out() -> None:
    assert content(f"What is [EMAIL_1], or email 2? Ask {ALICE}") == "What is [EMAIL_1], or email 2? Ask [EMAIL_3]"


def test_equal_beginnings_of_conversations_stay_equal() -> None:
    first = asked(f"I am {ALICE}")
    longer = {"messages": [*first["messages"], {"role": "user", "content": f"and he is {BOB}"}]}
    assert sent(longer)["messages"][0] == sent(first)["messages"][0]


def test_a_request_without_personal_data_is_sent_as_it_is() -> None:
    body = asked("hello")
    redacted, restoration = EVERYTHING.redact(body)
    assert redacted is body
    assert not restoration


def test_nothing_is_looked_for_unless_asked() -> None:
    body = asked(ALICE)
    assert Redactor(RedactionSettings()).redact(body)[0] is body


def test_the_request_given_is_never_changed() -> None:
    body = asked([{"type": "text", "text": ALICE}], user=ALICE, metadata={"who": ALICE})
    before = copy.deepcopy(body)
    assert sent(body) != body
    assert body == before


@pytest.mark.parametrize(
    "body",
    [
        asked(ALICE),
        asked([{"type": "text", "text": ALICE}]),
        {"messages": [{"role": "system", "content": ALICE}]},
        {"messages": [{"role": "tool", "tool_call_id": "1", "content": f'{{"to": "{ALICE}"}}'}]},
        {"messages": [{"role": "assistant", "content": None, "refusal": ALICE}]},
        asked([{"type": "file", "file": {"filename": ALICE, "file_data": "data:;base64,AAAA"}}]),
        asked("", user=ALICE),
        asked("", metadata={"id": ALICE}),
        asked("", stop=[ALICE]),
        asked("", prediction={"type": "content", "content": ALICE}),
        asked("", tools=[{"type": "function", "function": {"name": "f", "description": ALICE}}]),
        asked("", tools=[{"function": {"name": "f", "parameters": {"properties": {"to": {"enum": [ALICE]}}}}}]),
        asked("", response_format={"type": "json_schema", "json_schema": {"schema": {"description": ALICE}}}),
    ],
)
def test_every_text_of_a_request_is_looked_at(body: dict[str, Any]) -> None:
    assert ALICE not in json.dumps(sent(body))
    assert "[EMAIL_1]" in json.dumps(sent(body))


def test_images_identifiers_and_names_of_functions_and_properties_stay() -> None:
    url = {"type": "image_url", "image_url": {"url": f"https://x.example/{ALICE}.png"}}
    call = {"id": ALICE, "type": "function", "function": {"name": ALICE, "arguments": "{}"}}
    tool = {"type": "function", "function": {"name": ALICE, "parameters": {"properties": {ALICE: {"pattern": ALICE}}}}}
    messages = [{"role": "user", "content": [url]}, {"role": "assistant", "tool_calls": [call]}]
    body = {"messages": messages, "tools": [tool], "model": ALICE, "tool_choice": {"function": {"name": ALICE}}}
    assert sent(body) is body


def test_arguments_of_tool_calls_stay_json() -> None:
    arguments = json.dumps({ALICE: ["4111111111111111", 4111111111111111, True], "note": f'say "hi"\n{ALICE}'})
    call = {"id": "1", "type": "function", "function": {"name": "send", "arguments": arguments}}
    body = sent({"messages": [{"role": "assistant", "tool_calls": [call]}]})
    redacted = json.loads(body["messages"][0]["tool_calls"][0]["function"]["arguments"])
    assert redacted == {"[EMAIL_1]": ["[CARD_1]", "[CARD_1]", True], "note": 'say "hi"\n[EMAIL_1]'}


def test_arguments_cut_short_are_redacted_as_text() -> None:
    call = {"function": {"name": "send", "arguments": f'{{"to": "{ALICE}", "te'}}
    body = sent({"messages": [{"role": "assistant", "tool_calls": [call]}]})
    assert body["messages"][0]["tool_calls"][0]["function"]["arguments"] == '{"to": "[EMAIL_1]", "te'


def test_the_name_of_a_speaker_gets_a_placeholder_without_brackets() -> None:
    """Providers accept letters, digits, hyphen and underscore there."""
    body = sent({"messages": [{"role": "user", "name": ALICE, "content": "hi"}]})
    assert body["messages"][0]["name"] == "EMAIL_1"


def test_a_property_called_description_is_a_schema() -> None:
    schema = {"properties": {"description": {"type": "string", "description": f"as {ALICE} wrote"}}}
    body = sent(asked("", tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}]))
    kept = body["tools"][0]["function"]["parameters"]["properties"]["description"]
    assert kept == {"type": "string", "description": "as [EMAIL_1] wrote"}


def test_what_is_found_once_is_replaced_wherever_it_stands() -> None:
    """Digits alone are no phone number to us, but these were called one a line before."""
    body = {"messages": [{"role": "user", "content": "phone: 4155552671"}, {"role": "user", "content": "x4155552671y"}]}
    assert [message["content"] for message in sent(body)["messages"]] == ["phone: [PHONE_1]", "x[PHONE_1]y"]


def test_megabytes_of_images_are_passed_by_reference() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 3_000_000}}
    body = asked([{"type": "text", "text": ALICE}, image])
    assert sent(body)["messages"][0]["content"][1] is image


def test_counts_are_known_and_values_are_not_shown() -> None:
    restoration = EVERYTHING.redact(asked(f"{ALICE} {BOB} {ALICE} 203.0.113.9"))[1]
    assert restoration.counts == {"email": 2, "ip": 1}
    assert repr(restoration) == "Restoration(counts={'email': 2, 'ip': 1})"


@given(values)
def test_every_kind_of_value_is_taken_out(value: str) -> None:
    assert value not in content(f"This: {value}.")


@given(prompts)
def test_what_was_taken_out_is_nowhere_in_the_redacted_text(prompt: str) -> None:
    redacted, restoration = EVERYTHING.redact(asked(prompt))
    kept = redacted["messages"][0]["content"]
    assert not [value for value in restoration._values.values() if value in kept]


@given(prompts)
def test_an_echo_is_restored_to_what_was_asked(prompt: str) -> None:
    redacted, restoration = EVERYTHING.redact(asked(prompt))
    assert restoration.restore(redacted["messages"][0]["content"]) == prompt
