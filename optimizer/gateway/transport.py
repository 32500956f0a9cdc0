"""HTTP itself: one pool of connections per gateway, and what each way of failing means; alone in using httpx."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import httpx
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, client_exceptions, http_exceptions
from httpx_aiohttp import AiohttpTransport, HttpxAiohttpClient
from httpx_aiohttp.transport import AiohttpResponseStream, map_aiohttp_exceptions
from httpx_sse import EventSource

from optimizer.domain import Gateway
from optimizer.errors import ConnectionBroken, GatewayError, GatewayTimeout, GatewayUnreachable, InvalidReply

T = TypeVar("T")

PIECE_BYTES = 256 * 1024
KEEP_ALIVE_S = 30.0
CLOSING_S = 1.0
_NO_TIMEOUT = ClientTimeout()  # but the caller's
TRANSPORT_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    client_exceptions.ClientError,
    http_exceptions.HttpProcessingError,
    OSError,  # TimeoutError too
)
# The first line that fits. httpx-aiohttp calls a refusal, an unknown name and a reset alike ConnectTimeout and lets
# some of aiohttp's errors through, so its own classes say little: what aiohttp said stands in the cause.
_MEANINGS: tuple[tuple[tuple[type[BaseException], ...], type[GatewayError]], ...] = (
    (
        (
            client_exceptions.ClientConnectorError,
            client_exceptions.ClientHttpProxyError,
            client_exceptions.InvalidURL,
            client_exceptions.NonHttpUrlClientError,
            client_exceptions.ServerFingerprintMismatch,
            httpx.ConnectError,
            httpx.InvalidURL,
            httpx.ProxyError,
            httpx.UnsupportedProtocol,
        ),
        GatewayUnreachable,
    ),
    ((TimeoutError, httpx.TimeoutException), GatewayTimeout),
    ((client_exceptions.ClientResponseError, http_exceptions.HttpProcessingError, httpx.DecodingError), InvalidReply),
    ((OSError, client_exceptions.ClientConnectionError, client_exceptions.ClientPayloadError), ConnectionBroken),
)


def failure_class(error: BaseException) -> type[GatewayError]:
    """Return what an error of the transport means to the caller."""
    said = error.__cause__ if isinstance(error.__cause__, client_exceptions.ClientError) else error
    return next((meaning for kinds, meaning in _MEANINGS if isinstance(said, kinds)), ConnectionBroken)


async def caught(asked: Awaitable[T], *, gateway: Gateway, model_id: str | None = None) -> T | GatewayError:
    """Return what was asked for, or the error to raise.

    An error that is raised where another one is being handled keeps it, and with it keys, prompts and the other
    side's text: returned, it can be raised where there is none. The frames below go for the same reason.
    """
    try:
        return await asked
    except GatewayError as error:
        failure = error
    except TRANSPORT_ERRORS as error:
        failure = failure_class(error)(gateway=gateway, model_id=model_id)
        failure.gateway_wide = failure.gateway_wide and gateway != "direct"  # it is one of several servers
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP reply; header names are in small letters."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


class Incoming:
    """A reply whose head is there and whose body is still coming; to be closed by whoever has it."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = _plain(response)

    @property
    def media_type(self) -> str:
        """What the body says it is, such as `text/event-stream`; empty where it does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def read(self) -> Answer:
        """Return the reply once it is whole."""
        return Answer(self.status, self.headers, await self._response.aread())

    async def events(self) -> AsyncGenerator[str]:
        """Return the data of each server-sent event; comments and events without data are left out."""
        head = {"content-type": "text/event-stream; charset=utf-8"}  # events are UTF-8 whatever the reply claims
        async with aclosing(_ended(self._response)) as pieces:
            source = EventSource(httpx.Response(200, headers=head, content=pieces))
            async with aclosing(source.aiter_sse()) as events:
                async for event in events:
                    if event.data:
                        yield event.data

    async def aclose(self) -> None:
        """Close the connection, or give it back where the reply has been read whole; never raises."""
        with suppress(*TRANSPORT_ERRORS):
            async with asyncio.timeout(CLOSING_S):
                await self._response.aclose()


class Http:
    """A pool of connections without a limit, for one event loop: made at the first request, open until `aclose`.

    Any number of tasks of that loop may share it; another loop needs another one.
    """

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None
        self._always: Mapping[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def open(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> Incoming:
        """Send a request and return the reply as soon as its head is there. There is no timeout but the caller's."""
        return Incoming(await self._send(method, url, headers, content, stream=True))

    async def ask(self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None) -> Answer:
        """Send a request and return the whole reply. There is no timeout but the caller's."""
        response = await self._send(method, url, headers, content, stream=False)
        return Answer(response.status_code, _plain(response), response.content)

    async def aclose(self) -> None:
        """Close all connections; a later request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, *, stream: bool
    ) -> httpx.Response:
        if self._client is None:
            self._client = _Client(verify=_ssl_context(), timeout=None, headers={"user-agent": "orchestra-optimizer"})
            self._always = {name.decode().lower(): value.decode() for name, value in self._client.headers.raw}
        else:
            await _hear_of_closed_connections()
        sent = {**self._always, **{name.lower(): header_text(value) for name, value in headers.items()}}
        request = _request(method, _parsed(url), sent, content)
        try:
            return await self._client.send(request, stream=stream)
        except ValueError:  # what aiohttp finds wrong with an address, such as a password in it beside a key
            raise httpx.UnsupportedProtocol("this address cannot be asked") from None


def header_text(value: str) -> str:
    r"""Return a text as a header can carry it: what is not printable ASCII as `\uXXXX`."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(sign if " " <= sign <= "~" else f"\\u{ord(sign):04x}" for sign in value)


class _Body(httpx.AsyncByteStream):
    """The body of a request, and its headers as aiohttp takes them.

    A large one (images) goes in pieces, so that other calls go on while it is written.
    """

    def __init__(self, content: bytes, headers: Mapping[str, str]) -> None:
        self.content = content
        self.headers = headers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), PIECE_BYTES):
            yield self.content[start : start + PIECE_BYTES]


def _request(method: str, url: httpx.URL, headers: dict[str, str], content: bytes | None) -> httpx.Request:
    """Return a request.

    What it takes httpx to read headers and to write them out again is as much as all else that it does: a request with
    a body has none until a proxy asks for them.
    """
    if content is None:
        return httpx.Request(method, url, headers=headers)
    headers["content-length"] = str(len(content))
    return httpx.Request(method, url, stream=_Body(content, headers))


class _Transport(AiohttpTransport):
    """httpx-aiohttp's transport without its limit of 100 connections, and without cookies between calls."""

    def get_client(self) -> ClientSession:
        connector = TCPConnector(ssl=self.ssl_context, limit=0, keepalive_timeout=KEEP_ALIVE_S)
        return ClientSession(
            connector=connector, cookie_jar=DummyCookieJar(), max_line_size=65_536, max_field_size=65_536
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request as httpx-aiohttp does, but for the headers."""
        body = request.stream
        if not isinstance(body, _Body):
            return await super().handle_async_request(request)
        if self.proxy is not None:
            request.headers = httpx.Headers(body.headers)
            return await super().handle_async_request(request)
        if not isinstance(self.client, ClientSession):
            self.client = self.get_client()
        with map_aiohttp_exceptions():
            response = await self.client.request(
                request.method,
                str(request.url),
                headers=body.headers,
                data=body.content if len(body.content) <= PIECE_BYTES else body,
                allow_redirects=False,
                auto_decompress=False,
                timeout=_NO_TIMEOUT,
            )
        return httpx.Response(response.status, headers=response.raw_headers, stream=AiohttpResponseStream(response))


class _Client(HttpxAiohttpClient):
    """An `AsyncClient` on that transport, also where the environment names a proxy.

    It follows no redirects and has neither cookies nor authentication of its own.
    """

    async def send(self, request: httpx.Request, *, stream: bool = False, **_: Any) -> httpx.Response:  # noqa: ANN401
        """Send one request, and read the reply unless it shall be a stream.

        httpx's own ties reply and stream into a circle, so that everything that belongs to a call would wait for the
        garbage collector.
        """
        response = await self._transport_for_url(request.url).handle_async_request(request)
        response.request = request
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response

    def _init_transport(self, *args: Any, **options: Any) -> httpx.AsyncBaseTransport:  # noqa: ANN401, httpx's options
        return _Transport(*args, **options)

    def _init_proxy_transport(self, proxy: httpx.Proxy, *args: Any, **options: Any) -> httpx.AsyncBaseTransport:  # noqa: ANN401
        return _Transport(*args, **options | {"proxy": proxy})


@lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL:
    """Return an address, read once: httpx takes a tenth of a millisecond for it."""
    return httpx.URL(url)


def _plain(response: httpx.Response) -> dict[str, str]:
    """Return a reply's headers as a plain mapping, which is read some hundred times faster than httpx's."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}


@cache
def _ssl_context() -> ssl.SSLContext:
    """Return what certificates are checked with; to make it takes some 20 ms, so there is one for all gateways."""
    return httpx.create_ssl_context()


async def _hear_of_closed_connections() -> None:
    """Let the loop notice which idle connections their servers closed while it was not running.

    It looks at the sockets between the two, and drops those connections from the pool after the second.
    """
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def _ended(response: httpx.Response) -> AsyncGenerator[bytes]:
    """Yield the bytes of a reply and the blank line that some servers leave out after the last event."""
    async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_bytes())) as pieces:
        async for piece in pieces:
            yield piece
    yield b"\n\n"
