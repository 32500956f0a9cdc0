"""A whole reply and the events of a stream, built from a plan, in the style of provider and gateway."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from optimizer.simulation.fake_gateway.plan import Plan
from optimizer.simulation.fake_gateway.refusals import HOOKS
from optimizer.simulation.fake_gateway.styles import Style, UsagePlace, usage_body
from optimizer.simulation.fake_gateway.text import pieces

DONE = b"data: [DONE]\n\n"
OPENAI_ERROR = {"message": "The server had an error", "type": "server_error", "param": None, "code": None}
ERROR = {"code": 502, "message": "Provider disconnected", "metadata": {"error_type": "provider_unavailable"}}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a reply is known by."""

    id: str
    created: int


class Event(NamedTuple):
    """A piece of a stream, and how many tokens of the text it brings."""

    data: bytes
    n_tokens: int = 0


def completion(plan: Plan, style: Style, stamp: Stamp) -> dict[str, Any]:
    """Return the body of a plain reply."""
    finish = _finish(plan, style)
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None, "message": _message(plan)}
    body = {"id": stamp.id, "object": "chat.completion", "created": stamp.created, "model": plan.served_as}
    if style.provider:
        body["provider"] = style.provider
    if style.has_native:
        choice["native_finish_reason"] = finish
        choice["message"]["reasoning"] = None
        body["system_fingerprint"] = None
    if finish == "error":
        choice["error"] = ERROR
    body["choices"] = [choice]
    if plan.fault_name != "no_usage":
        body["usage"] = _usage(plan, style)
    if plan.fault_name == "guardrail_warning":
        body["hook_results"] = HOOKS
    return body


def _message(plan: Plan) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": plan.content, "refusal": plan.refusal}
    if plan.tool_calls:
        message["tool_calls"] = [_call(i, name, arguments) for i, (name, arguments) in enumerate(plan.tool_calls)]
    if plan.tool_calls or plan.refusal:
        message["content"] = None
    if plan.fault_name == "no_content":
        del message["content"]
    return message


def _call(i: int, name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{i}_{name}", "type": "function", "function": {"name": name, "arguments": arguments}}


def _finish(plan: Plan, style: Style) -> str:
    if plan.fault_name in {"finish_error", "error_midway"}:
        return "error"
    return "stop" if plan.tool_calls and not style.keeps_tool_finish else plan.finish_reason


def _usage(plan: Plan, style: Style, n_tokens: int | None = None) -> dict[str, Any]:
    usage = plan.usage if n_tokens is None else plan.sent(n_tokens)
    cost = None if plan.fault_name == "no_cost" else plan.cost_of(usage)
    return usage_body(usage, style.usage, cost, byok=plan.fault_name == "byok")


def events(plan: Plan, style: Style, stamp: Stamp, *, include_usage: bool) -> list[Event]:
    """Return the events of a stream in order; breaks and pauses are left to whoever sends them."""
    place = {"usage_in_every_chunk": "every", "no_index": "no_index"}.get(plan.fault_name, style.usage_place)
    stream = _Stream(plan, style, stamp, place, include_usage and style.usage_place == "asked")  # type: ignore[arg-type]
    made = list(stream.opening())
    made += stream.deltas()
    if plan.fault_name == "error_midway":
        return [*_half(made), *stream.error()]
    if plan.fault_name == "ends_early":
        return _half(made)
    made += stream.closing(include_usage=include_usage)
    if plan.fault_name != "no_done":
        made.append(Event(DONE))
    return _dressed(made, plan.fault_name)


def _half(made: list[Event]) -> list[Event]:
    """Return the events up to the half of those that bring tokens, one of them at least."""
    with_tokens = [i for i, event in enumerate(made) if event.n_tokens]
    return made[: with_tokens[(len(with_tokens) - 1) // 2] + 1] if with_tokens else made


def _dressed(made: list[Event], fault: str) -> list[Event]:
    if fault == "comments":
        return [part for event in made for part in (Event(b": keep-alive\n\n"), event)]
    if fault == "crlf":
        return [Event(data.replace(b"\n", b"\r\n"), n) for data, n in made]
    if fault == "split_utf8":
        return [part for event in made for part in _split(event)]
    return made


def _split(event: Event) -> tuple[Event, ...]:
    """Cut an event after the first byte of a character that has several."""
    at = next((i for i, byte in enumerate(event.data) if byte >= 0xC0), None)
    if at is None:
        return (event,)
    return Event(event.data[: at + 1], event.n_tokens), Event(event.data[at + 1 :])


@dataclass(slots=True)
class _Stream:
    """Makes the chunks of one stream."""

    plan: Plan
    style: Style
    stamp: Stamp
    place: UsagePlace
    says_null: bool  # OpenAI's chunks say that their usage is null where it is to come
    n_tokens: int = 0

    def opening(self) -> Iterator[Event]:
        if self.style.opening == "comment":
            yield Event(b": OPENROUTER PROCESSING\n\n")
        if self.style.opening == "empty_chunk":
            yield self._event({"role": "assistant", "content": ""})
        if self.style.opening is None:
            yield self._event({"role": "assistant", "content": "", "refusal": None})

    def deltas(self) -> Iterator[Event]:
        for i, (name, arguments) in enumerate(self.plan.tool_calls):
            yield self._event({"tool_calls": [{"index": i, **_call(i, name, "")}]}, n_tokens=1)
            for piece in pieces(arguments):
                yield self._event({"tool_calls": [{"index": i, "function": {"arguments": piece}}]}, n_tokens=1)
        key = "refusal" if self.plan.refusal else "content"
        for piece in pieces(self.plan.refusal or self.plan.content):
            yield self._event({"role": "assistant", key: piece} if self.style.has_native else {key: piece}, n_tokens=1)

    def closing(self, *, include_usage: bool) -> Iterator[Event]:
        no_usage = self.plan.fault_name == "no_usage"
        last = self._chunk({}, _finish(self.plan, self.style))
        if self.place in {"last", "every"} and not no_usage:
            last["usage"] = _usage(self.plan, self.style)
        yield _as_event(last)
        if no_usage or self.place in {"last", "every"} or (self.place == "asked" and not include_usage):
            return
        choices: list[object] = [{"delta": {}}] if self.place == "no_index" else []
        yield _as_event(self._chunk({}) | {"choices": choices, "usage": _usage(self.plan, self.style)})

    def error(self) -> Iterator[Event]:
        """Yield the end of a stream that fails: what it is depends on who passes it on."""
        if self.style.provider is None:
            yield _as_event({"error": OPENAI_ERROR})
        elif self.style.provider == "anthropic" and not self.style.has_native:
            yield _as_event(self._chunk({}, "overloaded_error"))
            yield Event(DONE)
        else:
            failed = self._chunk({"content": ""}, "error")
            yield _as_event(failed | {"error": ERROR} if self.style.has_native else failed)

    def _event(self, delta: dict[str, Any], *, n_tokens: int = 0) -> Event:
        self.n_tokens += n_tokens
        chunk = self._chunk(delta)
        if self.place == "every" and self.plan.fault_name != "no_usage":
            chunk["usage"] = _usage(self.plan, self.style, self.n_tokens)
        return _as_event(chunk, n_tokens)

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        chunk: dict[str, Any] = {"id": self.stamp.id, "object": "chat.completion.chunk", "created": self.stamp.created}
        chunk["model"] = self.plan.served_as
        if self.style.provider:
            chunk["provider"] = self.style.provider
        if self.style.has_native:
            choice["native_finish_reason"] = finish
        chunk["choices"] = [choice]
        return chunk | {"usage": None} if self.says_null else chunk


def _as_event(chunk: dict[str, Any], n_tokens: int = 0) -> Event:
    return Event(b"data: " + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n", n_tokens)
