"""What goes in and out of the fake gateway: a request as it was received, the answer to give, a reply as bytes."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from optimizer.domain import Gateway, Usage

Headers = tuple[tuple[bytes, bytes], ...]
JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class FakeRequest:
    """A request as it was received.

    Attributes
    ----------
    number : int
        The first one of the server is 1.
    headers : mapping
        Names in lower case.
    body : Any
        The JSON body; None where there is none.
    at_s : float
        Seconds since the script began.
    model : str
        The model asked for, without the `@slug/` in front; empty where none is named.
    attempt : int
        0, or which of the gateway's own retries and fallbacks this is.
    """

    number: int
    method: str
    path: str
    gateway: Gateway
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)
    at_s: float = 0.0
    model: str = ""
    attempt: int = 0

    @property
    def prompt(self) -> str:
        """The text of the last user message; empty where there is none."""
        for message in reversed(self.body.get("messages") or ()):
            if message.get("role") == "user":
                return text_of(message.get("content"))
        return ""

    @property
    def is_stream(self) -> bool:
        """Whether a stream is asked for."""
        return bool(self.body.get("stream"))


@dataclass(frozen=True, slots=True)
class FakeAnswer:
    """What to answer; None is left to the script.

    Attributes
    ----------
    content : str or None
        None is the script's text.
    tool_calls : tuple of (str, str)
        Name and arguments of each.
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens : int or None
        The prompt's include the cached ones, the completion's the reasoning.
    cost_usd : float or None
        What it costs, in place of tokens times price.
    ttft_s, duration_s : float or None
        Seconds until the first and the last token, before they are scaled.
    fault : str or None
        A fault, such as `rate_limit:7`, in place of the script's.
    headers : mapping
        More headers of the reply.
    """

    content: str | None = field(default=None, repr=False)
    tool_calls: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    model: str | None = None
    ttft_s: float | None = None
    duration_s: float | None = None
    fault: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Answerer = Callable[[FakeRequest], FakeAnswer | Awaitable[FakeAnswer | None] | None]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply as it goes over the wire."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Headers = (JSON,)


@dataclass(frozen=True, slots=True)
class Served:
    """What came of one chat completion, as the gateway's own books have it.

    Attributes
    ----------
    key : str
        The catalogue's name of the model where it has one.
    fault : str or None
        What went wrong on purpose.
    usage : Usage or None
        What was sent, in a stream that broke or was left until then; None where nothing was.
    cost_usd : float or None
        What the account is charged; None where a price is unknown.
    is_good : bool
        Whether the script counts the answer as a good one.
    is_cancelled : bool
        Whether the client went away before the end.
    """

    number: int
    gateway: Gateway
    provider: str
    model: str
    key: str
    status: int
    trace_id: str
    generation_id: str
    fault: str | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    is_good: bool = True
    is_stream: bool = False
    is_cancelled: bool = False


def as_reply(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a JSON reply."""
    more = tuple((name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items())
    return Reply(status, json.dumps(body).encode(), (JSON, *more))


def text_of(content: object) -> str:
    """Return the text of a message's content, which is text or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return ""
