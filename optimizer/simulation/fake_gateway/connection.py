"""One request's connection: what is sent, how long it takes, how it breaks, and whether anybody still listens."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from itertools import groupby
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from optimizer.simulation.fake_gateway.completions import Event
from optimizer.simulation.fake_gateway.messages import Headers, Reply

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
GARBAGE = b'\x00\xff\xfe{"choices": [ no json'
NO_COMPLETION = b'{"hello": "world"}'
_SEEN_S = 0.02  # for the client to read what came before a reset, which throws away what it has not read


class Connection:
    """Sends on one connection, and notices when the client goes away."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._transport = scope["state"]["connection"]
        self._receive, self._send = receive, send
        self._departure: asyncio.Task[None] | None = None
        self.status = 0  # of what was sent; 0: nothing yet

    async def body(self) -> bytes:
        """Return the whole body of the request."""
        message = await self._receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            message = await self._receive()
            body += message.get("body", b"")
        return body

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def reply(self, reply: Reply) -> None:
        """Send a whole reply."""
        length = (b"content-length", str(len(reply.body)).encode())
        await self.start(reply.status, (*reply.headers, length))
        await self.write(reply.body, more=False)

    async def pause(self, seconds: float) -> bool:
        """Wait, and return whether the client is still there."""
        if seconds <= 0.0 and self._departure is None:
            return True
        if self._departure is None:
            self._departure = asyncio.create_task(self._client_gone())
        await asyncio.wait({self._departure}, timeout=max(seconds, 0.0))
        return not self._departure.done()

    async def wait_for_end(self) -> None:
        """Wait until the client goes away."""
        await self.pause(0.0 if self._departure else 1e-9)
        if self._departure:
            await self._departure

    async def close(self, *, reset: bool = False) -> None:
        """Close the connection in the middle of things, or reset it, and wait until it is."""
        transport = self._transport.transport
        if reset:
            transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
        await self.wait_for_end()

    def forget(self) -> None:
        """Stop looking out for the client."""
        if self._departure is not None:
            self._departure.cancel()

    async def _client_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def send_nothing(connection: Connection, fault: str) -> None:
    """Carry out a fault by which no byte is sent."""
    if fault == "hang":
        await connection.wait_for_end()
    else:
        await connection.close(reset=fault == "reset")


async def send_plain(connection: Connection, reply: Reply, fault: str, duration_s: float) -> bool:
    """Send a plain reply, whole or broken by a fault, and return whether the client stayed until its end."""
    if not await connection.pause(duration_s):
        return False
    if fault in {"garbage", "not_a_completion"}:
        reply = Reply(200, GARBAGE if fault == "garbage" else NO_COMPLETION, reply.headers)
    if fault not in {"cut", "broken", "stall"}:
        await connection.reply(reply)
        return True
    await connection.start(reply.status, (*reply.headers, (b"content-length", str(len(reply.body)).encode())))
    await connection.write(reply.body[: len(reply.body) // 2])
    await _break(connection, fault)
    return True


async def send_stream(
    connection: Connection, made: Sequence[Event], headers: Headers, *, fault: str, times: tuple[float, float]
) -> tuple[int, bool]:
    """Send a stream, whole or broken by a fault.

    Returns
    -------
    tuple of int and bool
        Tokens sent, and whether the client stayed until the end.
    """
    await connection.start(connection.status or 200, (STREAM, *headers))
    if fault in {"garbage", "not_a_completion"}:
        data = GARBAGE if fault == "garbage" else NO_COMPLETION
        await connection.write(b"data: " + data + b"\n\n", more=False)
        return 0, True
    cut = _middle(made) if fault in {"cut", "broken", "stall"} else len(made)
    n_tokens, stays = await _send_events(connection, made[:cut], len(made), times, split=fault == "split_utf8")
    if stays and cut < len(made):
        await connection.write(made[cut].data[: len(made[cut].data) // 2])
        await _break(connection, fault)
    elif stays:
        await connection.write(b"", more=False)
    return n_tokens, stays


async def _send_events(
    connection: Connection, made: Sequence[Event], n_all: int, times: tuple[float, float], *, split: bool
) -> tuple[int, bool]:
    """Send events at their times; those that come at once go in one packet, but for the first."""
    ttft_s, duration_s = times
    gap_s = (duration_s - ttft_s) / max(n_all, 1)
    sent = 0
    for has_tokens, group in groupby(made, key=lambda event: event.n_tokens > 0):
        run = list(group)
        if has_tokens and sent == 0 and not await connection.pause(ttft_s):
            return sent, False
        packets = [run[:1], run[1:]] if gap_s <= 0.0 and not split else [[event] for event in run]
        for packet in filter(None, packets):
            await connection.write(b"".join(event.data for event in packet))
            sent += sum(event.n_tokens for event in packet)
            if not await connection.pause(0.001 if split else gap_s if has_tokens else 0.0):
                return sent, False
    return sent, True


def _middle(made: Sequence[Event]) -> int:
    """Return the place of the event that a fault cuts: the one after half of those with tokens."""
    with_tokens = [i for i, event in enumerate(made) if event.n_tokens]
    return with_tokens[(len(with_tokens) - 1) // 2] + 1 if with_tokens else len(made) - 1


async def _break(connection: Connection, fault: str) -> None:
    if fault == "stall":
        await connection.wait_for_end()
    elif await connection.pause(_SEEN_S):
        await connection.close(reset=fault == "broken")
