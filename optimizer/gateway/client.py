"""What the three clients share: one attempt over HTTP, with the second key where the first is refused."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode

from optimizer.domain import Gateway
from optimizer.errors import GatewayError, InvalidReply, InvalidRequest, Unauthorized
from optimizer.gateway.bodies import body_of
from optimizer.gateway.failures import failure_in, failure_of
from optimizer.gateway.keys import KeyRing
from optimizer.gateway.replies import json_object, reply_of
from optimizer.gateway.sse import ChunkStream
from optimizer.gateway.transport import Answer, Http, Incoming, caught
from optimizer.gateway.wire import ChatCall, ChatChunk, ChatReply, Target

T = TypeVar("T")
Keys = tuple[str | None, ...]
NO_STREAM = {"application/json", "text/html"}


class HttpGateway(ABC):
    """A gateway over HTTP. One event loop may use it, from any number of tasks; it connects at the first call."""

    name: Gateway

    def __init__(self) -> None:
        self._http = Http()

    async def complete(self, call: ChatCall) -> ChatReply:
        """Attempt one chat completion, once; every failure leaves as a `GatewayError`."""
        return returned(await caught(self._complete(call), gateway=self.name, model_id=call.target.model_id))

    @asynccontextmanager
    async def stream(self, call: ChatCall) -> AsyncIterator[AsyncIterator[ChatChunk]]:
        """Attempt one streamed completion, once; leaving the context ends the connection."""
        first_by = asyncio.get_running_loop().time() + call.timeout_s
        opened = await caught(self._opened(call, first_by), gateway=self.name, model_id=call.target.model_id)
        incoming = returned(opened)
        try:
            async with aclosing(incoming.events()) as events:
                yield ChunkStream(
                    events, call.target, headers=incoming.headers, timeout_s=call.timeout_s, first_by=first_by
                )
        finally:
            await incoming.aclose()

    async def check(self, timeout_s: float) -> None:
        """Ask whether the gateway answers at all, at no cost; raise where it does not."""
        returned(await caught(self._checked(timeout_s), gateway=self.name))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @abstractmethod
    def _rings(self, target: Target) -> tuple[KeyRing, ...]:
        """Return the keys that a call needs, the provider's after the gateway's."""

    @abstractmethod
    def _url(self, target: Target) -> str:
        """Return the address under which `/chat/completions` is found."""

    @abstractmethod
    def _headers(self, call: ChatCall, keys: Keys) -> dict[str, str]:
        """Return the headers of a call, with a key of each ring."""

    @abstractmethod
    async def _check(self) -> None:
        """Ask without a timeout."""

    def _body(self, call: ChatCall, *, stream: bool) -> dict[str, Any]:
        return body_of(call, stream=stream)

    async def _complete(self, call: ChatCall) -> ChatReply:
        content = encoded(self._body(call, stream=False))
        async with asyncio.timeout(call.timeout_s):
            answer = await with_keys(self._rings(call.target), lambda keys: self._post(call, keys, content))
        return reply_of(answer, call.target)

    async def _post(self, call: ChatCall, keys: Keys, content: bytes) -> Answer:
        headers = {"content-type": "application/json", **self._headers(call, keys)}
        url = f"{self._url(call.target)}/chat/completions"
        answer = await self._http.ask("POST", url, headers=headers, content=content)
        return self._accepted(answer, call.target)

    async def _opened(self, call: ChatCall, first_by: float) -> Incoming:
        content = encoded(self._body(call, stream=True))
        async with asyncio.timeout_at(first_by):
            return await with_keys(self._rings(call.target), lambda keys: self._open(call, keys, content))

    async def _open(self, call: ChatCall, keys: Keys, content: bytes) -> Incoming:
        headers = {"content-type": "application/json", "accept": "text/event-stream", **self._headers(call, keys)}
        url = f"{self._url(call.target)}/chat/completions"
        incoming = await self._http.open("POST", url, headers=headers, content=content)
        if 200 <= incoming.status < 300 and incoming.media_type not in NO_STREAM:
            return incoming
        try:
            answer = self._accepted(await incoming.read(), call.target)
        finally:
            await incoming.aclose()
        raise self._no_stream(answer, call.target)

    def _accepted(self, answer: Answer, target: Target) -> Answer:
        """Return an answer of 2xx (246 is one: a guardrail looked askance), and raise what any other one means."""
        if 200 <= answer.status < 300:
            return answer
        raise failure_of(answer, gateway=self.name, model_id=target.model_id)

    def _no_stream(self, answer: Answer, target: Target) -> GatewayError:
        """Return the error that came with 200 where a stream should have."""
        body = json_object(answer.content) or {}
        failure = failure_in(body, gateway=self.name, model_id=target.model_id, status=answer.status)
        return failure or InvalidReply(gateway=self.name, model_id=target.model_id, status=answer.status)

    async def _checked(self, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            await self._check()

    async def _get(
        self, url: str, headers: Mapping[str, str], *, params: Mapping[str, str] | None = None, worst: int = 299
    ) -> Answer:
        """Return the answer to a GET; raise where its status is above `worst`."""
        answer = await self._http.ask("GET", f"{url}?{urlencode(params)}" if params else url, headers=headers)
        if answer.status > worst:
            raise failure_of(answer, gateway=self.name)
        return answer


async def with_keys(rings: Sequence[KeyRing], send: Callable[[Keys], Awaitable[T]]) -> T:
    """Return what `send` does with a key of each ring; a ring whose key is refused tries its other one, once."""
    keys = tuple(ring.current() for ring in rings)
    try:
        return await send(keys)
    except Unauthorized as error:
        refused = error
    for place, ring in enumerate(rings):
        other = ring.other_than(keys[place])
        if other is None:
            continue
        try:
            sent = await send((*keys[:place], other, *keys[place + 1 :]))
        except Unauthorized:
            continue
        ring.prefer(other)
        return sent
    raise refused


def bearer(key: str | None) -> dict[str, str]:
    """Return the header that carries a key; none without one."""
    return {} if key is None else {"authorization": f"Bearer {key}"}


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return a body as JSON.

    Raises
    ------
    InvalidRequest
        Where it holds what JSON cannot say.
    """
    try:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        text = ""
    if not text:
        raise InvalidRequest("body", "holds something that JSON cannot say, such as NaN or an object of Python's")
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can carry
        return json.dumps(body).encode()


def returned(found: T | GatewayError) -> T:
    """Return what was found, or raise the error that was."""
    if isinstance(found, GatewayError):
        raise found
    return found
