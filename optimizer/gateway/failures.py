"""A failed reply, whatever its shape, as the right `GatewayError`; none of the other side's text is kept.

Gateways and providers put what they say into `error.message`, `message`, `errors[]` or `html-message`, or send an HTML
page, nothing, or another's reply as text inside their own. It is read for words that we know, and dropped.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from optimizer.errors import ConnectionBroken, ContentBlocked, GatewayError, ServerFailed
from optimizer.gateway.transport import Answer
from optimizer.gateway.wire import first_choice
from optimizer.gateway.words import GENERAL, LOST, SENTENCES, TELLING, meaning_of

Clock = Callable[[], datetime]
WORD_PLACES = ("code", "type", "error_type", "status")
TEXT_PLACES = ("message", "html-message", "raw", "detail")
MODERATION = {"reasons", "flagged_input", "patterns"}  # what OpenRouter found; a missing right has none
DEEPEST = 8
LONGEST_TEXT = 20_000
_PROVIDER = re.compile(r"[A-Za-z][\w .&/-]{0,39}", re.ASCII)


def utc_now() -> datetime:
    """Return the time now, aware."""
    return datetime.now(UTC)


def failure_of(answer: Answer, *, gateway: str, model_id: str | None = None, now: Clock = utc_now) -> GatewayError:
    """Return the error that a reply with a status other than 2xx is."""
    body = _json(answer.content)
    failure = _failure(body, answer.status, gateway=gateway, model_id=model_id, headers=answer.headers)
    failure.retry_after_s = _retry_after_s(answer.headers, body, now)
    return failure


def failure_in(body: Mapping[str, Any], *, gateway: str, model_id: str, status: int) -> GatewayError | None:
    """Return the error that a reply or chunk with a status of 2xx has inside; None where it has none."""
    choice = first_choice(body)
    reason = choice.get("finish_reason")
    failed = isinstance(reason, str) and reason in _FAILED
    if not (failed or body.get("error") or choice.get("error")):
        return None
    said = [body.get("error"), choice.get("error"), {"code": reason}]
    inner = next((part.get("code") for part in said[:2] if isinstance(part, Mapping)), None)
    meant = inner if isinstance(inner, int) and not isinstance(inner, bool) and 400 <= inner < 600 else None
    failure = _failure({"said": said, "provider": body.get("provider")}, meant, gateway=gateway, model_id=model_id)
    failure.status = failure.status or status
    return failure


# "error" is OpenRouter's; Portkey passes Anthropic's kind of error on as the reason why the stream ended.
_FAILED = {"error", "overloaded_error", "api_error", "rate_limit_error", "timeout_error", "invalid_request_error"}


def _failure(
    body: object, status: int | None, *, gateway: str, model_id: str | None, headers: Mapping[str, str] | None = None
) -> GatewayError:
    headers = headers or {}
    meaning, code = _meaning(body, status)
    if meaning is ServerFailed and (headers.get("x-portkey-gateway-exception") == "true" or _is_lost(body)):
        meaning, code = ConnectionBroken, None
    provider = _provider(body)
    named = provider or _name(headers.get("x-portkey-provider"))
    failure = meaning(gateway=gateway, model_id=model_id, status=status, provider=named, code=code)
    # A key that the provider refuses says nothing of the gateway's other models.
    failure.gateway_wide = failure.gateway_wide and provider is None and gateway != "direct"
    return failure


def _meaning(body: object, status: int | None) -> tuple[type[GatewayError], str | None]:
    words = [word for node in _nodes(body) for word in _words(node)]
    told = next((word for word in words if word in TELLING), None)
    if status == 403 and any(MODERATION & node.keys() for node in _nodes(body)):
        return ContentBlocked, told
    if told is not None:
        return TELLING[told], told
    if status is None or status in (400, 413, 422):
        texts = [text for node in _nodes(body) for text in _texts(node)]
        for pattern, meaning, code in SENTENCES:
            if any(pattern.search(text) for text in texts):
                return meaning, code
    general = next((word for word in words if word in GENERAL), None)
    if status is not None:
        return meaning_of(status), general
    return (ServerFailed, None) if general is None else (GENERAL[general], general)


def _nodes(body: object, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield every object inside a body, those that are text inside a message too, the innermost first.

    The innermost is the provider's, which knows best.
    """
    if depth > DEEPEST:
        return
    if isinstance(body, Mapping):
        for value in body.values():
            yield from _nodes(value, depth + 1)
        yield body
    elif isinstance(body, list):
        for value in body[:10]:
            yield from _nodes(value, depth + 1)
    elif isinstance(body, str) and "{" in body:
        yield from _nodes(_json(body[body.index("{") :].encode()), depth + 1)


def _is_lost(body: object) -> bool:
    """Return whether Portkey says that the provider's reply broke off on its way."""
    said = body.get("html-message") if isinstance(body, Mapping) else None
    return isinstance(said, str) and said.startswith("Message: ") and LOST.search(said[:LONGEST_TEXT]) is not None


def _words(node: Mapping[str, Any]) -> Iterator[str]:
    for place in WORD_PLACES:
        word = node.get(place)
        if isinstance(word, str):
            yield word.lower()


def _texts(node: Mapping[str, Any]) -> Iterator[str]:
    for place in TEXT_PLACES:
        if isinstance(node.get(place), str):
            yield node[place][:LONGEST_TEXT]
    listed = node.get("errors")
    if isinstance(listed, list):
        yield from (text[:LONGEST_TEXT] for text in listed[:10] if isinstance(text, str))


def _provider(body: object) -> str | None:
    """Return who failed behind the gateway, where the body says so."""
    named = (_name(node.get(key)) for node in _nodes(body) for key in ("provider_name", "provider"))
    return next((name for name in named if name is not None), None)


def _name(value: object) -> str | None:
    """Return a provider's name; what looks like none is left out, as it may be anything."""
    return value if isinstance(value, str) and _PROVIDER.fullmatch(value) else None


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _retry_after_s(headers: Mapping[str, str], body: object, now: Clock) -> float | None:
    """Return how long the other side asks us to wait, in the order in which Portkey looks for it."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (waited := _seconds(headers.get(name))) is not None:
            return waited / 1000.0
    header = headers.get("retry-after")
    if header is not None:
        return _seconds(header) if _seconds(header) is not None else _until(header, now)
    if (reset_ms := _seconds(headers.get("x-ratelimit-reset"))) is not None and reset_ms > 1e12:  # OpenRouter's
        return max(0.0, reset_ms / 1000.0 - now().timestamp())
    return next((found for node in _nodes(body) if (found := _seconds(node.get("retry_after"))) is not None), None)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0.0 else None


def _until(date: str, now: Clock) -> float | None:
    try:
        at = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now().timestamp())
