"""One request's connection: what is sent, how long it takes, how it breaks, and whether anybody still listens."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, NamedTuple

from optimizer.simulation.fake_gateway.completions import Event
from optimizer.simulation.fake_gateway.messages import Headers, Reply
from optimizer.simulation.fake_gateway.plan import Plan

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Ending = Callable[[int, bool], None]  # tokens sent, and whether the client is still there

STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
GARBAGE = b'\x00\xff\xfe{"choices": [ no json'
NO_COMPLETION = b'{"hello": "world"}'
_BREAKS = {"cut", "broken", "stall"}
_APART_S = 0.001  # enough for two packets to arrive as two
_SEEN_S = 0.02  # for the client to read what came before a reset, which throws away what it has not read


class Packet(NamedTuple):
    """What is sent at once, after how many seconds, and how many tokens of the text it brings."""

    wait_s: float
    data: bytes
    n_tokens: int


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
            return True  # to look out for the client costs as much as the reply
        departure = self._watched()
        await asyncio.wait({departure}, timeout=max(seconds, 0.0))
        return not departure.done()

    async def wait_for_end(self) -> None:
        """Wait until the client goes away."""
        await self._watched()

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

    def _watched(self) -> "asyncio.Task[None]":
        if self._departure is None:
            self._departure = asyncio.create_task(self._client_gone())
        return self._departure

    async def _client_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def send_nothing(connection: Connection, fault: str) -> None:
    """Carry out a fault by which no byte is sent."""
    if fault == "hang":
        await connection.wait_for_end()
    else:
        await connection.close(reset=fault == "reset")


async def send_plain(
    connection: Connection, reply: Reply, *, fault: str = "", wait_s: float = 0.0, ending: Ending | None = None
) -> None:
    """Send a plain reply after a while, whole or broken by a fault; `ending` is told before its last byte."""
    stays = await connection.pause(wait_s)
    if ending:
        ending(0, stays)
    if not stays:
        return
    if fault in {"garbage", "not_a_completion"}:
        reply = Reply(200, GARBAGE if fault == "garbage" else NO_COMPLETION, reply.headers)
    if fault not in _BREAKS:
        await connection.reply(reply)
        return
    await connection.start(reply.status, (*reply.headers, (b"content-length", str(len(reply.body)).encode())))
    await connection.write(reply.body[: len(reply.body) // 2])
    await _break(connection, fault)


async def send_stream(
    connection: Connection, made: Sequence[Event], plan: Plan, *, start: tuple[int, Headers], ending: Ending
) -> None:
    """Send a stream at its pace, whole or broken by the plan's fault; `ending` is told before its last event."""
    status, headers = start
    fault = plan.fault_name
    await connection.start(status, (STREAM, *headers))
    if fault in {"garbage", "not_a_completion"}:
        data = GARBAGE if fault == "garbage" else NO_COMPLETION
        made = [Event(b"data: " + data + b"\n\n")]
    cut = _middle(made) if fault in _BREAKS else len(made)
    if not await _send_packets(connection, _packets(made[:cut], plan), ending):
        return
    if cut == len(made):
        await connection.write(b"", more=False)
        return
    await connection.write(made[cut].data[: len(made[cut].data) // 2])
    await _break(connection, fault)


async def _send_packets(connection: Connection, packets: Sequence[Packet], ending: Ending) -> bool:
    """Send packets, and return whether the client stayed until the last one."""
    n_tokens = 0
    for i, packet in enumerate(packets, 1):
        if not await connection.pause(packet.wait_s):
            ending(n_tokens, False)
            return False
        n_tokens += packet.n_tokens
        if i == len(packets):
            ending(n_tokens, True)
        await connection.write(packet.data)
    return True


def _packets(made: Sequence[Event], plan: Plan) -> list[Packet]:
    """Return the events with the times between them; those that come at once go together."""
    is_split = plan.fault_name == "split_utf8"
    gap_s = (plan.duration_s - plan.ttft_s) / max(plan.usage.output_tokens, 1)
    packets: list[Packet] = []
    has_begun = False
    for event in made:
        wait_s = (gap_s if has_begun else plan.ttft_s) if event.n_tokens else 0.0
        has_begun = has_begun or event.n_tokens > 0
        if packets and wait_s <= 0.0 and not is_split:
            last = packets.pop()
            packets.append(Packet(last.wait_s, last.data + event.data, last.n_tokens + event.n_tokens))
        else:
            packets.append(Packet(max(wait_s, _APART_S if is_split else 0.0), event.data, event.n_tokens))
    return packets


def _middle(made: Sequence[Event]) -> int:
    """Return the place of the event that a fault cuts: the one after half of those with tokens."""
    with_tokens = [i for i, event in enumerate(made) if event.n_tokens]
    return with_tokens[(len(with_tokens) - 1) // 2] + 1 if with_tokens else len(made) - 1


async def _break(connection: Connection, fault: str) -> None:
    if fault == "stall":
        await connection.wait_for_end()
    elif await connection.pause(_SEEN_S):
        await connection.close(reset=fault == "broken")
