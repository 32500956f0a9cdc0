"""A whole reply from the chunks of a stream, as far as they came."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

_ONCE = ("id", "created", "model", "provider", "system_fingerprint", "service_tier", "usage", "error")
_TEXTS = ("content", "refusal", "reasoning", "reasoning_content")
_LISTS = ("reasoning_details", "images", "annotations")


@dataclass
class _Call:
    """One tool call, growing."""

    id: str | None = None
    kind: str = "function"
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def add(self, delta: Mapping[str, Any]) -> None:
        self.id = delta.get("id") or self.id
        self.kind = delta.get("type") or self.kind
        function = delta.get("function")
        if isinstance(function, Mapping):
            self.name = self.name or function.get("name") or ""
            arguments = function.get("arguments")
            if isinstance(arguments, str):
                self.arguments.append(arguments)
            elif arguments is not None:  # some send an object, whole
                self.arguments.append(json.dumps(arguments))

    @property
    def body(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": self.kind, "function": function}


@dataclass
class _Choice:
    """One choice, growing."""

    role: str = "assistant"
    texts: dict[str, list[str]] = field(default_factory=dict)
    lists: dict[str, list[Any]] = field(default_factory=dict)
    calls: dict[int, _Call] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    logprobs: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, choice: Mapping[str, Any]) -> None:
        for name in ("finish_reason", "native_finish_reason"):
            if isinstance(reason := choice.get(name), str):
                self.ends[name] = reason
        _extend(self.logprobs, choice.get("logprobs"), ("content", "refusal"))
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            return
        self.role = delta.get("role") or self.role
        for name in _TEXTS:
            if isinstance(text := delta.get(name), str):
                self.texts.setdefault(name, []).append(text)
        _extend(self.lists, delta, _LISTS)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, Mapping):
                self._call(call).add(call)

    def _call(self, delta: Mapping[str, Any]) -> _Call:
        """Return the call that a delta belongs to; without an index, a new id begins one, anything else goes on."""
        index = delta.get("index")
        if not _is_index(index):
            last = max(self.calls, default=-1)
            is_new = last < 0 or (delta.get("id") or self.calls[last].id) != self.calls[last].id
            index = last + 1 if is_new else last
        return self.calls.setdefault(index, _Call())

    def body(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": self.role, "content": None, "refusal": None}
        message |= {name: "".join(pieces) for name, pieces in self.texts.items()}
        if self.calls:
            message["content"] = message["content"] or None
            message["tool_calls"] = [call.body for _, call in sorted(self.calls.items())]
        message["refusal"] = message["refusal"] or None
        message |= {name: list(found) for name, found in self.lists.items()}
        logprobs = {name: list(found) for name, found in self.logprobs.items()} or None
        return {"index": index, "message": message, "finish_reason": None, **self.ends, "logprobs": logprobs}


class Assembly:
    """A reply that grows with every chunk that is added; `body` is what came until now, in the shape of a whole one.

    Chunks may lack anything: an index (then they belong to the first choice, and to the last tool call unless their
    id is a new one), choices, or content.
    """

    def __init__(self) -> None:
        self._about: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk_body: Mapping[str, Any]) -> None:
        """Add one event's body."""
        self._about |= {name: chunk_body[name] for name in _ONCE if chunk_body.get(name) is not None}
        choices = chunk_body.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping):
                index = choice.get("index")
                self._choices.setdefault(index if _is_index(index) else 0, _Choice()).add(choice)

    @property
    def text(self) -> str:
        """The first choice's text until now; empty where there is none."""
        first = self._choices.get(min(self._choices, default=0))
        return "" if first is None else "".join(first.texts.get("content", ()))

    @property
    def body(self) -> dict[str, Any]:
        """Everything until now, as a reply that was not streamed would have it."""
        choices = [choice.body(index) for index, choice in sorted(self._choices.items())]
        return {"object": "chat.completion", **self._about, "choices": choices}


def _extend(lists: dict[str, list[Any]], more: object, names: tuple[str, ...]) -> None:
    if isinstance(more, Mapping):
        for name in names:
            if isinstance(found := more.get(name), list):
                lists.setdefault(name, []).extend(found)


def _is_index(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
