"""Replies to be given again: an exact cache in memory, and the key that tells equal requests."""

import copy
import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from threading import Lock
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from cachetools import TTLCache

from optimizer.settings import CacheSettings

_HOW = ("stream", "stream_options")  # how a reply is sent, not what it is
_WHOLE = frozenset({"stop", "tool_calls", "function_call"})


def reply_key(asked: Mapping[str, object], body: Mapping[str, Any], *, secret: bytes) -> bytes | None:
    """Return the same 32 bytes for requests that the same reply answers; None where there is no JSON for them.

    Parameters
    ----------
    asked : mapping
        What tells which reply is right, beside the body: the tenant, the use case, a pinned model, and demands such
        as `required_quality` and `cost_tier`, or a premium request could get an economy one's reply. What is None
        counts as not said.
    body : mapping
        OpenAI's fields; how the reply is sent (`stream`, `stream_options`) makes no difference.
    secret : bytes
        Up to 64 random ones that never leave memory: without them nobody can tell from a key what was asked.
    """
    said = {name: value for name, value in asked.items() if value is not None}
    what = {name: value for name, value in body.items() if name not in _HOW}
    try:
        text = json.dumps((said, what), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return blake2b(text.encode(), key=secret, digest_size=32).digest()


def is_whole(body: Mapping[str, Any]) -> bool:
    """Whether a reply is one to give again: every choice ended by itself, with text or tool calls, and no refusal."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or body.get("error") is not None:
        return False
    return all(isinstance(choice, Mapping) and _ended_well(choice) for choice in choices)


def _ended_well(choice: Mapping[str, Any]) -> bool:
    message = choice.get("message")
    if choice.get("finish_reason") not in _WHOLE or choice.get("error") or not isinstance(message, Mapping):
        return False
    said = message.get("content") or message.get("tool_calls") or message.get("function_call")
    return bool(said) and not message.get("refusal")


class WithBody(Protocol):
    """A frozen dataclass that holds a reply's body beside what else is known of it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def body(self) -> Mapping[str, Any]:
        """The reply in OpenAI's shape."""
        ...


T = TypeVar("T", bound=WithBody)


class ReplyCache(Generic[T]):
    """Whole replies by key for a while, the longest unused ones dropped first; empty where the settings switch it off.

    Everybody gets a copy of the body, so nobody can change what others get. Safe to use from several threads.

    Parameters
    ----------
    clock : callable
        Returns the aware time now.
    """

    def __init__(self, settings: CacheSettings, clock: Callable[[], datetime]) -> None:
        self.enabled = settings.enabled
        self._lock = Lock()
        self._replies: TTLCache[bytes, T] = TTLCache(
            settings.max_entries, settings.ttl.total_seconds(), timer=lambda: clock().timestamp()
        )

    def __len__(self) -> int:
        with self._lock:
            return len(self._replies)

    def get(self, key: bytes | None) -> T | None:
        """Return what was put under the key, if it is still there."""
        if not self.enabled or key is None:
            return None
        with self._lock:
            found = self._replies.get(key)
        return None if found is None else _copied(found)

    def put(self, key: bytes | None, reply: T) -> bool:
        """Keep a reply if its body `is_whole`; return whether it is kept."""
        if not self.enabled or key is None or not is_whole(reply.body):
            return False
        kept = _copied(reply)
        with self._lock:
            self._replies[key] = kept
        return True


def _copied(reply: T) -> T:
    return dataclasses.replace(reply, body=copy.deepcopy(reply.body))
