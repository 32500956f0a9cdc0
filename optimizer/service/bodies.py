"""Chat bodies as they come: JSON, its known fields of the right type, everything else left as it is."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from starlette.requests import Request

from optimizer.errors import InvalidRequest
from optimizer.service.errors import ApiError

_NUMBER = (int, float)
_MEANING: Mapping[object, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    _NUMBER: "a number",
    list: "a list",
    dict: "an object",
    (str, list): "a text or a list of texts",
    (str, dict): "a text or an object",
}
# Of OpenAI's fields those that we, or a gateway's translation, would stumble over. `null` is as good as absent.
_TYPES: Mapping[str, Any] = {
    "model": str,
    "messages": list,
    "stream": bool,
    "stream_options": dict,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "n": int,
    "seed": int,
    "max_tokens": int,
    "max_completion_tokens": int,
    "top_logprobs": int,
    "logprobs": bool,
    "parallel_tool_calls": bool,
    "stop": (str, list),
    "tools": list,
    "tool_choice": (str, dict),
    "functions": list,
    "response_format": dict,
    "logit_bias": dict,
    "metadata": dict,
    "user": str,
    "reasoning_effort": str,
    "service_tier": str,
}


async def read_chat(request: Request) -> dict[str, Any]:
    """Return the body of a chat request.

    Raises
    ------
    ApiError, InvalidRequest
        If it is no JSON object, or a known field is of the wrong type; the error names the field.
    """
    body = _parsed(await request.body())
    for name in _TYPES.keys() & body.keys():
        check_type(name, body[name], _TYPES[name])
    _check_messages(body.get("messages") or [])
    _check_tools(body.get("tools") or [])
    return body


def check_type(field: str, value: object, wanted: Any) -> None:  # noqa: ANN401 - a type, or several
    """Raise `InvalidRequest` unless the value is of the type, or null; a boolean is no number."""
    if value is None or (isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))):
        return
    raise InvalidRequest(field, f"must be {_MEANING[wanted]}")


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ApiError(400, "the body is no JSON", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object", code="invalid_body")
    return body


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and infinities are no JSON")


def _check_messages(messages: list[Any]) -> None:
    """Check below the messages, which the router looks at itself: parts and tool calls are objects."""
    for i, message in enumerate(messages):
        if isinstance(message, dict):
            _check_objects(f"messages[{i}].content", message.get("content"))
            _check_objects(f"messages[{i}].tool_calls", message.get("tool_calls"))
            _check_functions(f"messages[{i}].tool_calls", message.get("tool_calls"))


def _check_tools(tools: list[Any]) -> None:
    _check_objects("tools", tools)
    _check_functions("tools", tools)
    for i, tool in enumerate(tools):
        if tool.get("type") == "function" and not isinstance((tool.get("function") or {}).get("name"), str):
            raise InvalidRequest(f"tools[{i}].function.name", "must be a text")


def _check_functions(field: str, entries: Any) -> None:  # noqa: ANN401 - what a client sent
    """Check that tools, or calls of them, say in objects what they are."""
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        for key in ("function", "custom"):
            check_type(f"{field}[{i}].{key}", entry.get(key), dict)


def _check_objects(field: str, values: Any) -> None:  # noqa: ANN401 - what a client sent
    if isinstance(values, list) and not all(isinstance(value, dict) for value in values):
        raise InvalidRequest(field, "must be a list of objects")
