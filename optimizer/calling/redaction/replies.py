"""Where a reply, whole or streamed, may name placeholders; what becomes of the texts there is the caller's."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

Fields = Mapping[str, Any]
Rewrite = Callable[[str, str, bool], str]  # the text's key, the text, whether it stands inside JSON → the text instead

TEXTS = ("content", "refusal", "reasoning", "reasoning_content")


def rewritten_choices(
    body: Fields, part: Literal["message", "delta"], rewrite: Rewrite, *, json_content: bool
) -> Fields:
    """Return the body with every text of its choices rewritten, all else shared.

    `reasoning_details` stay as they are: providers sign them, and want them back unchanged.
    """
    choices = body.get("choices")
    if not isinstance(choices, list):
        return body

    def rewritten(position: int, choice: Any) -> Any:  # noqa: ANN401 - JSON
        message = choice.get(part) if isinstance(choice, Mapping) else None
        if not isinstance(message, Mapping):
            return choice
        key = f"{choice.get('index', position)}."
        texts = {
            name: _text(key + name, message[name], rewrite, name == "content" and json_content)
            for name in TEXTS
            if message.get(name)
        }
        return {**choice, part: {**message, **texts, **_calls(key, message, rewrite)}}

    return {**body, "choices": [rewritten(position, choice) for position, choice in enumerate(choices)]}


def _text(key: str, value: Any, rewrite: Rewrite, as_json: bool) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return rewrite(key, value, as_json)
    parts = value if isinstance(value, list) else ()
    return [
        {**part, "text": rewrite(f"{key}.{number}", part["text"], as_json)} if _has_text(part, "text") else part
        for number, part in enumerate(parts)
    ]


def _calls(key: str, message: Fields, rewrite: Rewrite) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(calls := message.get("tool_calls"), list):
        found["tool_calls"] = [_tool_call(key, position, call, rewrite) for position, call in enumerate(calls)]
    if isinstance(message.get("function_call"), Mapping):
        found["function_call"] = _filled(message["function_call"], "arguments", f"{key}function_call", rewrite)
    return found


def _tool_call(key: str, position: int, call: Any, rewrite: Rewrite) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(call, Mapping):
        return call
    number = call.get("index", position)
    fields = (("function", "arguments", "tool_calls"), ("custom", "input", "custom"))
    return {
        **call,
        **{
            name: _filled(call[name], text, f"{key}{where}.{number}", rewrite)
            for name, text, where in fields
            if isinstance(call.get(name), Mapping)
        },
    }


def _filled(function: Fields, name: str, key: str, rewrite: Rewrite) -> Fields:
    if not _has_text(function, name):
        return function
    return {**function, name: rewrite(key, function[name], name == "arguments")}


def _has_text(value: Any, name: str) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, Mapping) and isinstance(value.get(name), str)


def with_rest(delta: Fields, where: str, rest: str) -> Fields:
    """Return the delta with `rest` added to the text whose key, without its choice, is `where`."""
    name, _, number = where.partition(".")
    if name in {"tool_calls", "custom"}:
        function, text = ("custom", "input") if name == "custom" else ("function", "arguments")
        more = {"index": int(number), function: {text: rest}}
        return {**delta, "tool_calls": _joined(list(delta.get("tool_calls") or ()), more, function, text)}
    if name == "function_call":
        call = delta.get("function_call") or {}
        return {**delta, name: {**call, "arguments": (call.get("arguments") or "") + rest}}
    known = delta.get(name)
    return {
        **delta,
        name: [*known, {"type": "text", "text": rest}] if isinstance(known, list) else (known or "") + rest,
    }


def _joined(calls: list[Any], more: Fields, function: str, text: str) -> list[Any]:
    for position, call in enumerate(calls):
        if call.get("index", position) == more["index"]:
            said = call.get(function) or {}
            calls[position] = {**call, function: {**said, text: (said.get(text) or "") + more[function][text]}}
            return calls
    return [*calls, more]
