"""A streamed reply from its first token on: opened by an attempt, passed on chunk by chunk, put together at the end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import anyio

from optimizer.calling.assembly import Assembly
from optimizer.calling.redaction import Restoration
from optimizer.calling.tokens import estimate_output
from optimizer.domain import Usage
from optimizer.errors import DeadlineExceeded, GatewayError, GatewayTimeout
from optimizer.gateway.wire import ChatCall, ChatChunk, ChatReply, GatewayClient
from optimizer.router.attempts import Attempts, Served
from optimizer.router.call import Call
from optimizer.router.reply import Chunk


@dataclass(slots=True)
class OpenStream:
    """A stream whose first token is there: what came until then, and what is still to come."""

    connection: AsyncExitStack
    events: AsyncIterator[ChatChunk]
    first: list[ChatChunk]
    ttft_ms: float


async def open_stream(client: GatewayClient, call: ChatCall, timer: Callable[[], float] = perf_counter) -> OpenStream:
    """Return a stream at its first token; until then it fails as any attempt does, and another may be made."""
    started = timer()
    async with AsyncExitStack() as connection:
        events = await connection.enter_async_context(client.stream(call))
        first = []
        async for chunk in events:
            first.append(chunk)
            if chunk.has_output or chunk.finish_reason is not None:
                break
        return OpenStream(connection.pop_all(), events, first, (timer() - started) * 1e3)
    raise AssertionError("an exit stack passes every error on")


@dataclass
class Reception:
    """What has been received of a stream.

    Attributes
    ----------
    received : Assembly
        As it came, placeholders and all.
    """

    stream: OpenStream
    restoration: Restoration | None
    received: Assembly = field(default_factory=Assembly)
    usage: Usage | None = None
    cost_usd: float | None = None
    model: str | None = None
    provider: str | None = None

    def __post_init__(self) -> None:
        self._restorer = self.restoration.stream() if self.restoration else None

    async def chunks(self, deadline: float) -> AsyncIterator[Chunk]:
        """Yield every chunk, what was masked put back; `TimeoutError` at the deadline, by the event loop's clock."""
        for event in self.stream.first:
            yield self._taken(event)
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await anext(self.stream.events)
            except StopAsyncIteration:
                break
            yield self._taken(event)
        rest = self._rest()
        if rest is not None:
            yield rest

    def _taken(self, event: ChatChunk) -> Chunk:
        self.received.add(event.body)
        self.usage = event.usage or self.usage
        self.cost_usd = self.cost_usd if event.cost_usd is None else event.cost_usd
        self.model, self.provider = event.model or self.model, event.provider or self.provider
        if self._restorer is None:
            return Chunk(event.text, event.body, event.finish_reason)
        body = self._restorer.chunk(event.body)
        return Chunk(_text(body), body, event.finish_reason)

    def _rest(self) -> Chunk | None:
        """Return what was held back because it might have been the beginning of a placeholder."""
        if self._restorer is None:
            return None
        body = self._restorer.rest()
        return None if body is None else Chunk(_text(body), body)

    @property
    def output_tokens(self) -> int:
        """Tokens of what was received, as well as they can be told."""
        if self.usage is not None:
            return self.usage.output_tokens
        return estimate_output(self.received.text)

    @property
    def reply(self) -> ChatReply:
        """All that was received, as one reply."""
        return ChatReply(self.received.body, self.usage, self.cost_usd, self.model, self.provider)


async def received(
    call: Call, served: Served[OpenStream], attempts: Attempts, reception: Reception
) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks of a stream that has begun; however it ends before its end, the ledger gets the truth."""
    stream = served.value
    try:
        async for chunk in reception.chunks(call.deadline):
            yield chunk
    except GatewayError as error:
        raise attempts.failed(call, served.trial, error, reception.output_tokens, stream.ttft_ms) from None
    except TimeoutError:
        late = GatewayTimeout(gateway=served.trial.stop.gateway, model_id=served.trial.stop.model_id)
        attempts.failed(call, served.trial, late, reception.output_tokens, stream.ttft_ms)
        raise DeadlineExceeded(call.call_id, call.deadline_s, call.errors) from None
    except BaseException:  # the caller went away: cancelled, or the iteration was left
        attempts.broken_off(call, served.trial, reception.output_tokens, stream.ttft_ms)
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await stream.connection.aclose()


def _text(body: Mapping[str, Any]) -> str:
    delta = (body.get("choices") or [{}])[0].get("delta") or {}
    content = delta.get("content")
    return content if isinstance(content, str) else ""
