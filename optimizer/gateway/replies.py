"""From JSON that came to a reply or chunk with its usage and cost, or to the error that it is."""

import json
from collections.abc import Mapping
from typing import Any

from optimizer.domain import Usage
from optimizer.errors import InvalidReply
from optimizer.gateway.failures import failure_in
from optimizer.gateway.transport import Answer
from optimizer.gateway.usage import cost_of, usage_of
from optimizer.gateway.wire import ChatChunk, ChatReply, Target, first_choice


def reply_of(answer: Answer, target: Target) -> ChatReply:
    """Return the reply that an answer of 2xx holds.

    Raises
    ------
    GatewayError
        Where it holds an error, or nothing that is a chat completion (`InvalidReply`).
    """
    body = json_object(answer.content)
    if body is None:
        raise InvalidReply(gateway=target.gateway, model_id=target.model_id, status=answer.status)
    failure = failure_in(body, gateway=target.gateway, model_id=target.model_id, status=answer.status)
    if failure is not None:
        raise failure
    if not isinstance(first_choice(body).get("message"), Mapping):
        raise InvalidReply(gateway=target.gateway, model_id=target.model_id, status=answer.status)
    return ChatReply(
        body,
        *_usage_and_cost(body, target, answer.headers),
        model=_text(body.get("model")),
        provider=_text(body.get("provider")) or answer.headers.get("x-portkey-provider"),
        status=answer.status,
    )


def chunk_of(body: Mapping[str, Any], target: Target, headers: Mapping[str, str]) -> ChatChunk:
    """Return the chunk that one event of a stream is."""
    return ChatChunk(
        body,
        *_usage_and_cost(body, target, headers),
        model=_text(body.get("model")),
        provider=_text(body.get("provider")) or headers.get("x-portkey-provider"),
    )


def json_object(content: bytes | str) -> dict[str, Any] | None:
    """Return the object that a text is; None where it is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _usage_and_cost(
    body: Mapping[str, Any], target: Target, headers: Mapping[str, str]
) -> tuple[Usage | None, float | None]:
    found = body.get("usage")
    if found is None:
        return None, None
    usage = usage_of(found, provider=target.provider, translated=target.gateway == "portkey")
    if headers.get("x-portkey-cache-status", "").endswith("HIT"):
        return usage, 0.0  # from Portkey's own cache: the provider was not asked
    return usage, cost_of(found) if "openrouter" in (target.gateway, target.provider) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
