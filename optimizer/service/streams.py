"""A streamed reply as server-sent events, in OpenAI's shape."""

import json
from collections.abc import Mapping
from typing import Any

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from optimizer.errors import OptimizerError
from optimizer.router import Chunk, ReplyStream
from optimizer.service.errors import UNFORESEEN, answer_to
from optimizer.service.presence import ClientLeft, while_present
from optimizer.service.state import Service
from optimizer.service.traffic import log_unforeseen

DONE = b"data: [DONE]\n\n"
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # nginx would collect events into packets


class EventStream(StreamingResponse):
    """The rest of a stream whose first chunk is there already.

    After it, a failure is an event with an `error`, and no `[DONE]` follows. A client that goes away ends the call.

    Parameters
    ----------
    with_usage : bool
        Whether the client asked for the token counts.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        service: Service,
        stream: ReplyStream,
        first: Chunk | None,
        *,
        with_usage: bool,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__((), headers={**_HEADERS, **headers})
        self._service = service
        self._stream = stream
        self._first = first
        self._with_usage = with_usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI calls it
        """Send the events, in the task that began the stream."""
        try:
            async with while_present(receive):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await self._send_all(send)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientLeft:
            pass
        finally:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()

    async def _send_all(self, send: Send) -> None:
        chunk = self._first
        try:
            while chunk is not None:
                body = chunk.body if self._with_usage else without_usage(chunk.body)
                if body is not None:
                    await _send(send, event(body))
                chunk = await anext(self._stream, None)
        except Exception as error:  # noqa: BLE001 - the client has a part of the reply, and must not take it for the whole
            if not isinstance(error, OptimizerError):
                log_unforeseen(error)
                error = UNFORESEEN
            await _send(send, event(answer_to(error, self._service.optimizer.clock()).body))
        else:
            await _send(send, DONE)


def without_usage(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a chunk as it is for a client that did not ask for usage; None where it holds nothing else."""
    if "usage" not in body:
        return body
    if not body.get("choices"):
        return None
    return {name: value for name, value in body.items() if name != "usage"}


def event(body: Mapping[str, Any]) -> bytes:
    """Return one event."""
    return b"data: " + encoded(body) + b"\n\n"


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return JSON, also of halves of surrogate pairs, which only an escape can carry."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
