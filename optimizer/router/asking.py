"""What a caller asks for: a chat body in OpenAI's words, and hints for the choice; checked once."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, get_args

from optimizer.domain import CostTier, Request
from optimizer.engine.requests import request_of
from optimizer.errors import InvalidRequest

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_OURS = ("model", "stream")  # given to us by arguments of their own
_LIMITS = ("max_completion_tokens", "max_tokens")
_COST_TIERS = get_args(CostTier)

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Hints:
    """What a caller may say for the choice, all of it optional; the arguments of `select_optimal_model`, by name."""

    use_case: str | None = None
    model: str | None = None
    required_quality: float | str | None = None
    objective: str | None = None
    cost_tier: CostTier | None = None
    session_id: str | None = None
    tenant: str | None = None
    tags: Mapping[str, str] | None = None
    features: Sequence[float] | None = None
    max_cost_usd: float | None = None
    expected_output_tokens: int | None = None
    context_tokens: int | None = None  # where the caller knows better than an estimate


HINTS = tuple(each.name for each in fields(Hints) if each.name != "use_case")


@dataclass(frozen=True, slots=True)
class Asked:
    """One call as its caller wants it.

    Attributes
    ----------
    body : mapping
        OpenAI's fields, without `model` and `stream`; never changed.
    deadline_s : float or None
        For the whole call; None means the settings' own.
    """

    body: Mapping[str, Any] = field(repr=False)
    hints: Hints
    deadline_s: float | None = None

    @property
    def max_tokens(self) -> int | None:
        """Upper limit of completion tokens that the body names."""
        return next((self.body[name] for name in _LIMITS if self.body.get(name) is not None), None)

    @property
    def n_choices(self) -> int:
        """Completions asked for."""
        return int(self.body.get("n") or 1)

    def request(self, context_tokens: int, context_tokens_high: int) -> Request:
        """Return what the choice is made from.

        Raises
        ------
        InvalidRequest
            If a hint is out of range; the error names it.
        """
        hints = self.hints
        if hints.context_tokens is not None:
            context_tokens, context_tokens_high = hints.context_tokens, hints.context_tokens
        return request_of(
            use_case=hints.use_case or "",
            context_tokens=context_tokens,
            context_tokens_high=context_tokens_high,
            required_quality=hints.required_quality,
            objective=hints.objective,
            needs_tools=bool(self.body.get("tools")) and self.body.get("tool_choice") != "none",
            needs_json_schema=_asks_schema(self.body),
            needs_vision=_has_images(self.body),
            cost_tier=hints.cost_tier,
            session_id=hints.session_id,
            tenant=hints.tenant,
            tags=tuple(sorted(hints.tags.items())) if hints.tags else (),
            features=None if hints.features is None else tuple(hints.features),
            max_cost_usd=hints.max_cost_usd,
            expected_output_tokens=hints.expected_output_tokens,
            model=hints.model,
        )


def asked(messages: Messages, hints: Mapping[str, Any], body: Mapping[str, Any], deadline_s: float | None) -> Asked:
    """Return a call from what `complete` and `stream` take.

    Raises
    ------
    InvalidRequest
        If the messages are none, or an argument is wrong; the error names it, and never repeats what it holds.
    """
    _check_messages(messages)
    if strange := [name for name in _OURS if name in body]:
        raise InvalidRequest(strange[0], "is not a field of the body here; use the argument or the other method")
    for name in _LIMITS:
        value = body.get(name)
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            raise InvalidRequest(name, "must be a whole number of tokens above 0")
    n = body.get("n")
    if n is not None and not (isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= 128):
        raise InvalidRequest("n", "must be a whole number from 1 to 128")
    if deadline_s is not None and not deadline_s > 0:
        raise InvalidRequest("deadline_s", "must be a number of seconds above 0")
    given = {name: value for name, value in body.items() if value is not None}
    return Asked({"messages": messages, **given}, Hints(**hints), deadline_s)


def prompt_hmac(secret: bytes, body: Mapping[str, Any]) -> str:
    """Return the name under which a prompt is noted: a keyed hash, from which nobody reads it back."""
    text = json.dumps(body.get("messages"), sort_keys=True, separators=(",", ":"), default=repr)
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:32]


def _check_messages(messages: object) -> None:
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence) or not messages:
        raise InvalidRequest("messages", 'must be a list such as [{"role": "user", "content": "…"}]')
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise InvalidRequest(f"messages[{i}]", "must be a mapping with role and content")
        if message.get("role") not in ROLES:
            raise InvalidRequest(f"messages[{i}].role", f"must be one of {', '.join(ROLES)}")
        content = message.get("content")
        if content is not None and not isinstance(content, str | Sequence):
            raise InvalidRequest(f"messages[{i}].content", "must be text, or a list of parts")


def _asks_schema(body: Mapping[str, Any]) -> bool:
    wanted = body.get("response_format")
    return isinstance(wanted, Mapping) and wanted.get("type") == "json_schema"


def _has_images(body: Mapping[str, Any]) -> bool:
    return any(part.get("type") == "image_url" for message in body["messages"] for part in _parts(message))


def _parts(message: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    content = message.get("content")
    if isinstance(content, str) or not isinstance(content, Sequence):
        return ()
    return (part for part in content if isinstance(part, Mapping))
