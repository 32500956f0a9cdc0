"""The body of a call as its model wants it; what the caller gave is never changed, and unknown fields pass."""

import re
from collections.abc import Mapping
from typing import Any

from optimizer.gateway.wire import ChatCall, Target

LIMITS = ("max_completion_tokens", "max_tokens")
OURS = {"model", "stream", "stream_options", "temperature", *LIMITS}
SAMPLING = {"temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty"}
CLAUDE_TOKENS = 4096  # where not even its own limit is known; every Claude accepts it
_GPT = re.compile(r"gpt-(\d|1\d)(?:\.(\d+))?(?![\w.])")  # Azure's gpt-35-turbo is a 3.5
_O_SERIES = re.compile(r"o\d+(?![\w.])")


def body_of(call: ChatCall, *, stream: bool) -> dict[str, Any]:
    """Return what to send: the caller's fields, with the model, the limit and the temperature as the model takes them.

    Left out is what the model would refuse: sampling where it accepts no temperature. Added is what it would refuse
    to go without: a limit for Claude, no reasoning for GPT-5.4 and later with tools (unless the caller asks for some).
    """
    target = call.target
    left_out = OURS | SAMPLING if target.accepts_temperature is False else OURS
    body = {"model": target.wire_model, **{name: value for name, value in call.body.items() if name not in left_out}}
    limit = _limit(call)
    if limit is not None:
        body[limit_name(target)] = limit
    temperature = call.body.get("temperature") if call.temperature is None else call.temperature
    if temperature is not None and target.accepts_temperature is not False:
        body["temperature"] = temperature
    if _needs_no_reasoning(target, call.body):
        body["reasoning_effort"] = "none"
    if stream:
        options = call.body.get("stream_options")
        body["stream"] = True
        body["stream_options"] = {**(options if isinstance(options, Mapping) else {}), "include_usage": True}
    return body


def limit_name(target: Target) -> str:
    """Return the field in which the model takes its limit of completion tokens."""
    name = bare_name(target)
    reasons_at_openai = target.provider in {"openai", "azure-openai"} and target.is_reasoning is True
    if reasons_at_openai or _O_SERIES.match(name) or _gpt_version(name) >= (5, 0):
        return "max_completion_tokens"
    return "max_tokens"


def bare_name(target: Target) -> str:
    """Return the model's name without whatever a gateway puts before and behind it."""
    return target.wire_model.rpartition("/")[2].partition(":")[0].lower()


def _limit(call: ChatCall) -> int | None:
    """Return the limit to send: the call's, else the caller's, never above what the model can do."""
    target = call.target
    asked = [call.max_tokens, *(call.body.get(name) for name in LIMITS)]
    limit = next((value for value in asked if value is not None), None)
    if limit is None:
        is_claude = "claude" in bare_name(target) or target.provider == "anthropic"
        return (target.max_output_tokens or CLAUDE_TOKENS) if is_claude else None
    # What is no number goes out as it came: to refuse it is the other side's business.
    can_do = target.max_output_tokens if isinstance(limit, int) else None
    return limit if can_do is None else min(limit, can_do)


def _needs_no_reasoning(target: Target, body: Mapping[str, Any]) -> bool:
    if body.get("reasoning_effort") is not None or body.get("reasoning") is not None:
        return False
    return bool(body.get("tools") or body.get("functions")) and _gpt_version(bare_name(target)) >= (5, 4)


def _gpt_version(name: str) -> tuple[int, int]:
    """Return (5, 4) for gpt-5.4-mini; (0, 0) for what has no such number, as gpt-4o and gpt-oss."""
    found = _GPT.match(name)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)
