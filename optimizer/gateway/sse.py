"""A stream of server-sent events as chunks, until it ends, breaks or says that it failed."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Self

from optimizer.errors import ConnectionBroken, GatewayError, InvalidReply, StreamBroken
from optimizer.gateway.failures import failure_in
from optimizer.gateway.replies import chunk_of, json_object
from optimizer.gateway.transport import TRANSPORT_ERRORS, caught
from optimizer.gateway.wire import ChatChunk, Target

DONE = "[DONE]"
DRAIN_S = 0.05


class ChunkStream:
    """The chunks of one stream, to be read once.

    It is whole at `[DONE]`, or at its end after a finish reason; else it broke. What goes wrong before the first
    token is the error that it is, after it `StreamBroken` with that error's word.
    """

    def __init__(
        self,
        events: AsyncGenerator[str],
        target: Target,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        first_by: float,
    ) -> None:
        self._events = events
        self._target = target
        self._headers = headers
        self._timeout_s = timeout_s
        self._first_by: float | None = first_by  # on the loop's clock
        self._begun = self._has_output = self._finished = self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatChunk:
        if self._over:
            raise StopAsyncIteration
        found = await caught(self._next(), gateway=self._target.gateway, model_id=self._target.model_id)
        if isinstance(found, ChatChunk):
            return found
        self._over = True
        if found is None:
            raise StopAsyncIteration
        raise self._broken(found) if self._has_output else found

    async def _next(self) -> ChatChunk | None:
        data = await self._event()
        if data is None and not self._finished:
            raise self._failure(ConnectionBroken)
        if data is None or data.strip() == DONE:
            await self._end()
            return None
        body = json_object(data)
        if body is None:
            # Half an object is the last thing that comes before the connection is cut.
            raise self._failure(ConnectionBroken if await self._event() is None else InvalidReply)
        if failure := failure_in(body, gateway=self._target.gateway, model_id=self._target.model_id, status=200):
            raise failure
        chunk = chunk_of(body, self._target, self._headers)
        self._begun = True
        self._has_output = self._has_output or chunk.has_output
        self._finished = self._finished or chunk.finish_reason is not None
        return chunk

    async def _event(self) -> str | None:
        first_by, self._first_by = self._first_by, None
        limit = asyncio.timeout(self._timeout_s) if first_by is None else asyncio.timeout_at(first_by)
        async with limit:
            return await anext(self._events, None)

    async def _end(self) -> None:
        if not self._begun:
            raise self._failure(InvalidReply)
        # Only a connection whose reply was read to its last byte can serve again.
        with suppress(*TRANSPORT_ERRORS):
            async with asyncio.timeout(DRAIN_S):
                await anext(self._events, None)

    def _failure(self, kind: type[GatewayError]) -> GatewayError:
        return kind(gateway=self._target.gateway, model_id=self._target.model_id, status=200)

    def _broken(self, failure: GatewayError) -> StreamBroken:
        return StreamBroken(
            gateway=failure.gateway,
            model_id=failure.model_id,
            status=failure.status,
            provider=failure.provider,
            retry_after_s=failure.retry_after_s,
            code=failure.code or failure.kind,
        )
