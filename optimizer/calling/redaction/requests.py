"""Where a request may hold personal data; what becomes of the texts there is the caller's."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Rewrite(Protocol):
    """What is done to a text."""

    def __call__(self, text: str, *, bare: bool = False) -> str:
        """Return the text instead; `bare` marks a field that takes letters, digits and hyphens only."""
        ...


def rewritten_request(body: Mapping[str, Any], rewrite: Rewrite) -> Mapping[str, Any]:
    """Return OpenAI's body of a chat completion with every text in it rewritten; what does not change is shared.

    Names of functions and properties, identifiers, images, audio and files stay as they are.
    """
    rewritten: Mapping[str, Any] = _structure(body, rewrite)
    return rewritten


# The rules below take JSON and return JSON.
# ruff: noqa: ANN401


def _kept(value: Any, _: Rewrite) -> Any:
    return value


def _structure(value: Any, rewrite: Rewrite) -> Any:
    """Rewrite every text, but under some keys by other rules."""
    if isinstance(value, str):
        return rewrite(value)
    return _through(value, lambda key, item: _RULES.get(key, _structure)(item, rewrite))


def _function(value: Any, rewrite: Rewrite) -> Any:
    return _through(value, lambda key, item: item if key == "name" else _RULES.get(key, _structure)(item, rewrite))


def _schema(value: Any, rewrite: Rewrite) -> Any:
    """Rewrite what a model reads as text; names, references and patterns must stay what they are."""
    return _through(value, lambda key, item: _SCHEMA_RULES.get(key, _schema)(item, rewrite))


def _described(value: Any, rewrite: Rewrite) -> Any:
    # A schema, not a text, where `description` is the name of a property.
    return rewrite(value) if isinstance(value, str) else _schema(value, rewrite)


def _data(value: Any, rewrite: Rewrite) -> Any:
    """Rewrite all texts, keys and whole numbers: this is the user's data, whose keys mean nothing to us."""
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if (text := rewrite(str(value))) == str(value) else text
    if isinstance(value, Mapping) and any(rewrite(key) != key for key in value):
        value = {rewrite(key): item for key, item in value.items()}
    return _through(value, lambda _, item: _data(item, rewrite))


def _metadata(value: Any, rewrite: Rewrite) -> Any:
    return _through(value, lambda _, item: _data(item, rewrite))


def _json_text(value: Any, rewrite: Rewrite) -> Any:
    """Rewrite inside JSON so that it stays JSON; what is none, such as arguments cut short, is a text."""
    if not isinstance(value, str):
        return _data(value, rewrite)
    try:
        known = json.loads(value)
    except ValueError:
        return rewrite(value)
    rewritten = _data(known, rewrite)
    return value if rewritten is known else json.dumps(rewritten, ensure_ascii=False)


def _name(value: Any, rewrite: Rewrite) -> Any:
    return rewrite(value, bare=True) if isinstance(value, str) else value


def _through(value: Any, item_for: Callable[[str, Any], Any]) -> Any:
    """Return the value with its items replaced, itself where none changed."""
    if isinstance(value, Mapping):
        items = {key: item_for(key, item) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in items) else value
    if isinstance(value, list | tuple):
        elements = [item_for("", item) for item in value]
        return elements if any(new is not old for new, old in zip(elements, value, strict=True)) else value
    return value


Rule = Callable[[Any, Rewrite], Any]
_KEPT = (
    *("role", "type", "id", "index", "tool_call_id", "model", "models", "provider", "tool_choice", "cache_control"),
    *("image_url", "video_url", "input_audio", "audio", "file_data", "file_id", "detail", "format"),
    *("signature", "encrypted_content", "reasoning_details"),
)
_RULES: dict[str, Rule] = {
    **dict.fromkeys(_KEPT, _kept),
    "name": _name,
    "arguments": _json_text,
    "function": _function,
    "function_call": _function,
    "custom": _function,
    "tools": _schema,
    "functions": _schema,
    "response_format": _schema,
    "metadata": _metadata,
}
_SCHEMA_RULES: dict[str, Rule] = {
    **dict.fromkeys(("description", "title", "$comment"), _described),
    **dict.fromkeys(("default", "const", "enum", "examples", "example"), _data),
}
