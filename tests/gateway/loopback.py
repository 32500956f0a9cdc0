"""A small server on loopback that answers as a test says, down to the bytes, and keeps what it was asked."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
}


@dataclass
class Asked:
    """One request, as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)


Answering = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Loopback:
    url: str
    asked: list[Asked] = field(default_factory=list)
    n_connections: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)  # a client closed its connection


@asynccontextmanager
async def loopback(answer: Answering) -> AsyncIterator[Loopback]:
    """Serve until the block ends; `answer` writes what it likes, and closing is up to it."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        server.n_connections += 1
        with suppress(ConnectionError, asyncio.CancelledError):
            while (asked := await _next_request(reader)) is not None:
                server.asked.append(asked)
                answering = asyncio.create_task(answer(asked, writer))
                hearing = asyncio.create_task(reader.read(1)) if _streams(asked) else None
                gone = await _until_done_or_gone(answering, hearing)
                if gone or writer.is_closing():
                    break
        server.hung_up.set()
        writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    server = Loopback(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1")
    try:
        yield server
    finally:
        listening.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def replying(body: object = REPLY, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answering:
    """Return an answer that is the same whole reply to everything."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(http_reply(body, status=status, headers=headers))
        await writer.drain()

    return answer


def one_by_one(*answers: Answering) -> Answering:
    """Return an answer that differs from request to request; the last one stays."""
    left = list(answers)

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(asked, writer)

    return answer


def streaming(
    *pieces: bytes | float, cut: bool = False, kind: str = "text/event-stream", headers: Mapping[str, str] | None = None
) -> Answering:
    """Return an answer that sends pieces in packets of their own, numbers being pauses in seconds."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        head = {"content-type": kind, "transfer-encoding": "chunked", **(headers or {})}
        writer.write(head_of(200, head))
        for piece in pieces:
            if isinstance(piece, bytes):
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            await asyncio.sleep(piece if isinstance(piece, float) else 0.002)
        writer.write(b"" if cut else b"0\r\n\r\n")
        await writer.drain()
        if cut:
            writer.close()

    return answer


def raw(content: bytes, *, close: bool = True) -> Answering:
    """Return an answer of these bytes, then the end of the connection."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        if close:
            writer.close()

    return answer


async def resetting(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.sleep(30)


def http_reply(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {} if isinstance(body, bytes) else {"content-type": "application/json"}
    return head_of(status, {**kind, "content-length": str(len(content)), **(headers or {})}) + content


def head_of(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Word", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def event(**fields: object) -> bytes:
    """Return one event of a stream: a chunk with these fields."""
    chunk = {"id": "gen-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", **fields}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def token(text: str, finish_reason: str | None = None) -> bytes:
    """Return the event that adds a text."""
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}])


def refused_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def _next_request(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def _streams(asked: Asked) -> bool:
    return b'"stream":true' in asked.content


async def _until_done_or_gone(answering: asyncio.Task[None], hearing: asyncio.Task[bytes] | None) -> bool:
    """Wait for the answer, or for the client to hang up in the middle of a stream; return whether it did."""
    tasks = [answering, *([hearing] if hearing else [])]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return answering not in done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
