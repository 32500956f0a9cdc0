"""Ratings that cost nothing: what a reply itself shows of having failed, as metrics that may be gates or quality."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from optimizer.calling.schemas import conforms

CHECKS: Final = ("not_truncated", "not_refused", "not_filtered", "not_empty", "valid_json", "valid_tool_calls")

_CUT_OFF = frozenset({"length", "max_tokens"})
_FILTERED = frozenset({"content_filter", "safety", "recitation", "blocklist", "prohibited_content"})

_LONGEST_REFUSAL = 400  # characters: longer answers go on to help after all
_CANNOT = r"(?:can(?:no|')?t|can not|won't|will not|(?:am|'m) (?:unable|not able|not allowed) to|must decline to)"
_HELP = r"(?:help|assist|comply|fulfill?|do that|support that|engage (?:in|with)|participate|continue with)"
_SORRY = r"(?:i(?:'m| am) (?:really |very |so |truly )?sorry|(?:my )?apolog(?:ies|i[sz]e)|i apologi[sz]e|sorry)"
_REFUSAL = re.compile(
    rf"(?:{_SORRY}[,.!:;—–-]*(?: for [^.,]{{1,40}}[,.])? ?(?:but )?(?:as an ai[^,]{{0,30}}, )?i ?{_CANNOT}\b"
    rf"|(?:unfortunately, |as an ai[^,]{{0,30}}, )?i ?{_CANNOT} {_HELP}\b(?! but)"
    rf"|as an ai[^,]{{0,30}}, i ?{_CANNOT}\b"
    r"|i(?: must|'m going to have to| have to) (?:respectfully )?(?:decline|refuse)\b)"
)


def free_ratings(body: Mapping[str, Any], reply: Mapping[str, Any]) -> dict[str, float]:
    """Return metric → 1.0 (good) or 0.0 (bad), of those in `CHECKS` that can be told of the first choice.

    `valid_json` is rated only where the request asks for JSON, `valid_tool_calls` only where it brings tools and some
    are called or had to be. What cannot be told (a schema that cannot be checked, say) has no rating. A refusal in
    plain words is recognised in English alone, and only as the beginning of a short answer: others pass as good, and
    a short answer that is meant to sound like one (a translation, a line of dialogue) is held for a refusal.

    Parameters
    ----------
    body : mapping
        The request in OpenAI's words.
    reply : mapping
        The whole reply; of a stream, what was assembled.
    """
    choice = _first_choice(reply)
    found = choice.get("message")
    message: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    said = choice.get("finish_reason")
    ended = said.casefold() if isinstance(said, str) else None
    ratings = {
        "not_truncated": None if ended is None else ended not in _CUT_OFF,
        "not_refused": ended not in _FILTERED and not _is_refusal(message) if choice else None,
        "not_filtered": None if ended is None else ended not in _FILTERED,
        "not_empty": not _is_empty(message),
        "valid_json": _valid_json(body.get("response_format"), message),
        "valid_tool_calls": _valid_tool_calls(body, message, ended),
    }
    return {metric: float(good) for metric, good in ratings.items() if good is not None}


def _first_choice(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = reply.get("choices")
    found = choices[0] if isinstance(choices, list) and choices else None
    return found if isinstance(found, Mapping) else {}


def _text(message: Mapping[str, Any]) -> str:
    """Return the text of a message, whether it is one or comes in parts."""
    content = message.get("content")
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, Mapping))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _is_empty(message: Mapping[str, Any]) -> bool:
    others = ("tool_calls", "function_call", "refusal", "audio", "images")
    return not _text(message).strip() and not any(message.get(name) for name in others)


def _is_refusal(message: Mapping[str, Any]) -> bool:
    if message.get("refusal"):
        return True
    text = _text(message).strip()
    if len(text) > _LONGEST_REFUSAL or message.get("tool_calls"):
        return False
    plain = " ".join(text.replace("’", "'").casefold().split())
    return _REFUSAL.match(plain) is not None


def _valid_json(asked: object, message: Mapping[str, Any]) -> bool | None:
    kind = asked.get("type") if isinstance(asked, Mapping) else None
    if not isinstance(asked, Mapping) or kind not in ("json_object", "json_schema") or message.get("tool_calls"):
        return None
    text = _text(message)
    try:
        value = _parsed(text)
    except (ValueError, RecursionError):
        return False
    if kind == "json_object":
        return isinstance(value, dict)
    wrapped = asked.get("json_schema")
    schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else None
    return True if schema is None else conforms(text, schema)


def _valid_tool_calls(body: Mapping[str, Any], message: Mapping[str, Any], ended: str | None) -> bool | None:
    tools = body.get("tools")
    if not isinstance(tools, Sequence) or not tools:
        return None
    choice, calls = body.get("tool_choice"), message.get("tool_calls")
    forced = _named(choice) if isinstance(choice, Mapping) else None
    if not isinstance(calls, list) or not calls:
        must = choice == "required" or forced is not None or ended == "tool_calls"
        return False if must else None
    if choice == "none":
        return False
    known = {_named(tool): tool for tool in tools if isinstance(tool, Mapping)}
    if forced is not None:
        known = {name: tool for name, tool in known.items() if name == forced}
    verdicts = [_valid_call(call, known) for call in calls]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _valid_call(call: object, known: Mapping[str | None, Mapping[str, Any]]) -> bool | None:
    name = _named(call) if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or name is None or name not in known:
        return False
    function = call.get("function")
    if not isinstance(function, Mapping):
        return True  # a custom tool takes any text
    given = function.get("arguments")
    # A function without parameters is often called with nothing at all.
    text = given or "{}" if isinstance(given, str | None) else json.dumps(given)
    try:
        if not isinstance(_parsed(text), dict):
            return False
    except (ValueError, RecursionError):
        return False
    described = known[name].get("function")
    schema = described.get("parameters") if isinstance(described, Mapping) else None
    return True if schema is None else conforms(text, schema)


def _named(tool: Mapping[str, Any]) -> str | None:
    """Return the name in a tool, a call or a choice of one: all three have it in the same place."""
    for kind in ("function", "custom"):
        inner = tool.get(kind)
        if isinstance(inner, Mapping) and isinstance(name := inner.get("name"), str) and name:
            return name
    return None


def _parsed(text: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(text, parse_constant=_refuse)


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON")
