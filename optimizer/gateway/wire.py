"""What goes over the wire and comes back, whoever speaks: a call, its reply, a stream's chunks."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from optimizer.domain import Gateway, Usage


@dataclass(frozen=True, slots=True)
class Target:
    """A model as one gateway addresses it, with what must be known to ask it.

    Attributes
    ----------
    model_id : str
        Our name for it, the catalogue's key.
    wire_model : str
        The gateway's name for it, such as `@openai/gpt-4o` or `openai/gpt-4o`.
    provider : str
        The company's slug at Portkey (`openai`, `anthropic`, `google` …): whose key, and how usage is read.
    accepts_temperature, is_reasoning : bool or None
        None is unknown.
    max_output_tokens : int or None
    """

    model_id: str
    gateway: Gateway
    wire_model: str = field(repr=False)  # it may hold the name of a stored key
    provider: str
    accepts_temperature: bool | None = None
    is_reasoning: bool | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ChatCall:
    """One chat completion to ask for.

    Attributes
    ----------
    body : mapping
        OpenAI's fields as the caller gave them, without `model` and `stream`; never changed.
    max_tokens : int or None
        Upper limit of completion tokens, over what the body says.
    timeout_s : float
        Until the reply is whole; of a stream, until its first event and between events.
    trace_id : str
        Our call id, for the gateway's own log.
    """

    target: Target
    body: Mapping[str, Any] = field(repr=False)
    max_tokens: int | None = None
    temperature: float | None = None
    timeout_s: float = 60.0
    trace_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    fallback_models: tuple[str, ...] = ()  # wire names, where the gateway fails over by itself


@dataclass(frozen=True, slots=True)
class ChatReply:
    """A whole reply.

    Attributes
    ----------
    body : mapping
        As it came, in OpenAI's shape.
    usage : Usage or None
        Normalised; None where the reply has none.
    cost_usd : float or None
        What the gateway says the account pays; None where it does not say.
    model, provider : str or None
        As the reply names them.
    """

    body: Mapping[str, Any] = field(repr=False)
    usage: Usage | None = None
    cost_usd: float | None = None
    model: str | None = None
    provider: str | None = None
    status: int = 200

    @property
    def message(self) -> Mapping[str, Any]:
        """The first choice's message; empty where there is none."""
        found = self._choice.get("message")
        return found if isinstance(found, Mapping) else {}

    @property
    def content(self) -> str:
        """The first choice's text; empty where it has none."""
        found = self.message.get("content")
        return found if isinstance(found, str) else ""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        found = self._choice.get("finish_reason")
        return found if isinstance(found, str) else None

    @property
    def _choice(self) -> Mapping[str, Any]:
        return first_choice(self.body)


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """One event of a stream; `usage` and `cost_usd` come with the last one that has them."""

    body: Mapping[str, Any] = field(repr=False)
    usage: Usage | None = None
    cost_usd: float | None = None
    model: str | None = None
    provider: str | None = None

    @property
    def delta(self) -> Mapping[str, Any]:
        """What the first choice adds; empty where it adds nothing."""
        found = first_choice(self.body).get("delta")
        return found if isinstance(found, Mapping) else {}

    @property
    def text(self) -> str:
        """The text that the first choice adds."""
        found = self.delta.get("content")
        return found if isinstance(found, str) else ""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended; None while it goes on."""
        found = first_choice(self.body).get("finish_reason")
        return found if isinstance(found, str) else None

    @property
    def has_output(self) -> bool:
        """Whether a token came: text, a tool call, a refusal or reasoning."""
        keys = ("content", "tool_calls", "refusal", "reasoning", "reasoning_content")
        return any(self.delta.get(key) for key in keys)


def first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first choice of a reply or chunk; empty where there is none."""
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        return choices[0]
    return {}


class GatewayClient(Protocol):
    """A gateway that can be asked; every failure leaves as a `GatewayError`, cancellation as it is."""

    name: Gateway

    async def complete(self, call: ChatCall) -> ChatReply:
        """Attempt one chat completion, once."""
        ...

    def stream(self, call: ChatCall) -> AbstractAsyncContextManager[AsyncIterator[ChatChunk]]:
        """Attempt one streamed completion, once; leaving the context ends the connection.

        A failure in the middle, after a chunk with output, is `StreamBroken`.
        """
        ...

    async def check(self, timeout_s: float) -> None:
        """Ask whether the gateway answers at all, at no cost; raise where it does not."""
        ...

    async def aclose(self) -> None:
        """Close idle connections."""
        ...
