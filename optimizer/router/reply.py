"""What a caller gets: a reply with what it cost and who gave it, or a stream of chunks that ends in one."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from optimizer.domain import NANO_USD, Attempt, CostSource, Reuse, Usage
from optimizer.errors import OptimizerError
from optimizer.selection import Selection


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply.

    Attributes
    ----------
    body : mapping
        In OpenAI's shape, as the gateway gave it.
    selection : Selection
        Why this model was chosen.
    attempts : tuple of Attempt
        Everything that was tried; the last one served.
    latency_ms : float
        From the call to the whole reply, retries and failovers included.
    degraded_by : str or None
        `failover`, `fallback_model`, `fallback_gateway` or `lowered_floor`.
    """

    body: Mapping[str, Any] = field(repr=False)
    selection: Selection
    attempts: tuple[Attempt, ...]
    latency_ms: float
    ttft_ms: float | None = None
    degraded_by: str | None = None

    @property
    def call_id(self) -> str:
        """Name of the call, to rate it by."""
        return self.selection.call_id

    @property
    def _served(self) -> Attempt:
        return self.attempts[-1]

    @property
    def model(self) -> str:
        """The model that served, by the catalogue's name."""
        return self._served.model_id

    @property
    def provider(self) -> str:
        """The gateway that it was reached through."""
        return self._served.gateway

    @property
    def usage(self) -> Usage | None:
        """Tokens of the attempt that served."""
        return self._served.usage

    @property
    def cost_usd(self) -> float | None:
        """What all attempts cost together, a reused reply nothing; None where one of them is unknown."""
        costs = [0 if attempt.reused else attempt.cost_nano_usd for attempt in self.attempts]
        return None if None in costs else sum(cost for cost in costs if cost is not None) / NANO_USD

    @property
    def cost_source(self) -> CostSource:
        """Where the cost of the attempt that served is known from."""
        return self._served.cost_source

    @property
    def reused(self) -> Reuse | None:
        """Whether the reply is another call's, from the cache or in flight."""
        return self._served.reused

    @property
    def degraded(self) -> bool:
        """Whether a fallback, or a floor that a spending limit lowered, served."""
        return self.degraded_by is not None

    @property
    def message(self) -> Mapping[str, Any]:
        """The first choice's message."""
        choices = self.body.get("choices") or [{}]
        return choices[0].get("message") or {}

    @property
    def content(self) -> str:
        """The first choice's text; empty where it has none."""
        return self.message.get("content") or ""

    @property
    def tool_calls(self) -> list[Mapping[str, Any]]:
        """Tool calls of the first choice."""
        return list(self.message.get("tool_calls") or [])

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        choices = self.body.get("choices") or [{}]
        found = choices[0].get("finish_reason")
        return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a streamed reply; `body` is the event as OpenAI writes it."""

    text: str = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    finish_reason: str | None = None

    @classmethod
    def whole(cls, body: Mapping[str, Any]) -> Self:
        """Return a whole reply as the only chunk of a stream."""
        choices = [
            {**{key: value for key, value in choice.items() if key != "message"}, "delta": choice.get("message") or {}}
            for choice in body.get("choices") or []
        ]
        first = choices[0] if choices else {"delta": {}}
        text, reason = first["delta"].get("content") or "", first.get("finish_reason")
        return cls(text, {**body, "object": "chat.completion.chunk", "choices": choices}, reason)


@dataclass(slots=True)
class Progress:
    """How far a stream has come: who was chosen, who serves, and at its end the whole reply.

    Its chunks know of this and not of the `ReplyStream`, so that a stream that is dropped ends at once.
    """

    selection: Selection | None = None
    model: str | None = None
    degraded_by: str | None = None
    whole: Reply | None = None


class ReplyStream:
    """A reply as it comes: iterate over its chunks; then `reply` has the whole of it.

    Leave the iteration early through `async with` or `aclose`, so that the connection ends at once; what was received
    until then is costed.
    """

    def __init__(self, chunks: AsyncGenerator[Chunk, None], progress: Progress) -> None:
        self._chunks = chunks
        self._progress = progress

    @property
    def selection(self) -> Selection | None:
        """Why this model was chosen; None before the first chunk."""
        return self._progress.selection

    @property
    def model(self) -> str | None:
        """Who serves; None before the first chunk."""
        return self._progress.model

    @property
    def degraded_by(self) -> str | None:
        """Whether a fallback serves, as `Reply` has it; None before the first chunk."""
        return self._progress.degraded_by

    @property
    def reply(self) -> Reply:
        """The whole reply, once the last chunk came."""
        if self._progress.whole is None:
            raise OptimizerError("the stream is not at its end yet: iterate over it first")
        return self._progress.whole

    @property
    def call_id(self) -> str | None:
        """Name of the call; None before the first chunk was asked for."""
        return None if self.selection is None else self.selection.call_id

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        return await self._chunks.__anext__()

    async def aclose(self) -> None:
        """End the stream, wherever it is."""
        await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
