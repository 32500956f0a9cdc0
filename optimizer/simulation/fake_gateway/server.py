"""Runs a fake gateway on a real socket: in a thread beside a test or a demo, or in the foreground for the command."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from optimizer.catalog import Catalog
from optimizer.errors import MissingExtra
from optimizer.listening import BACKLOG, listening, origin
from optimizer.simulation.fake_gateway.app import application
from optimizer.simulation.fake_gateway.gateway import FakeGateway
from optimizer.simulation.fake_gateway.messages import Answerer
from optimizer.simulation.fake_gateway.script import Script

_PATIENCE_S = 10.0  # for the thread to start, to end, and to do what it is asked
_GRACE_S = 1.0  # for requests under way to end, before they are cancelled
_KEPT_ALIVE_S = 60  # as real gateways do, so that a client's idle connections outlive a pause


class FakeServer(FakeGateway):
    """A fake gateway that listens on a socket.

    Attributes
    ----------
    url : str
        `http://host:port`; Portkey and OpenAI are below `/v1`, OpenRouter below `/api/v1`.
    """

    def __init__(
        self,
        script: Script,
        sock: socket.socket,
        *,
        seed: int = 0,
        answer: Answerer | None = None,
        catalog: Catalog | None = None,
    ) -> None:
        super().__init__(script, seed=seed, answer=answer, catalog=catalog, clock=time.time)
        self._socket: socket.socket | None = sock
        self._address = sock.getsockname()[:2]
        self._config, self._state = _uvicorn(self)
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.url = origin(sock)

    @property
    def portkey_url(self) -> str:
        """The base URL for Portkey, or for a provider without gateway."""
        return f"{self.url}/v1"

    @property
    def openrouter_url(self) -> str:
        """The base URL for OpenRouter."""
        return f"{self.url}/api/v1"

    @property
    def n_connections(self) -> int:
        """Connections that are open, idle ones included."""
        return len(self._state.connections)

    def is_idle(self, timeout_s: float) -> bool:
        """Wait until no request is under way, and return whether that came about in time."""
        until = time.monotonic() + timeout_s
        while self.n_open and time.monotonic() < until:
            time.sleep(0.002)
        return self.n_open == 0

    @property
    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        """What makes the event loop: the faster one where it is installed."""
        factory: Callable[[], asyncio.AbstractEventLoop] | None = self._config.get_loop_factory()
        return factory

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Be dead for as long as the context lasts: open connections are reset, new ones refused."""
        self._run(self._close())
        try:
            yield
        finally:
            self._run(self._open())

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve on the running loop for as long as the context lasts."""
        self._loop = asyncio.get_running_loop()
        await self._open()
        try:
            yield
        finally:
            await self._close()

    def tell(self, action: Callable[[], object]) -> None:
        """Call something on the server's loop, from another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(action)

    def _run(self, action: Coroutine[Any, Any, None]) -> None:
        """Do something on the server's loop, from another thread."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(action, self._loop).result(_PATIENCE_S)

    async def _open(self) -> None:
        sock = self._socket or listening(*self._address)
        self._socket = None
        self._server = await asyncio.get_running_loop().create_server(self._protocol, sock=sock, backlog=BACKLOG)

    async def _close(self) -> None:
        if self._server is not None:
            await _accept_no_more(self._server)
            self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=_GRACE_S)
        await asyncio.sleep(0)  # aborted transports close in the next round

    def _protocol(self) -> asyncio.Protocol:
        """Return what speaks HTTP on a new connection; requests find it in their scope."""
        known: dict[str, Any] = {}
        protocol = self._config.http_protocol_class
        made: asyncio.Protocol = protocol(config=self._config, server_state=self._state, app_state=known)
        known["connection"] = made
        return made


def _uvicorn(gateway: FakeGateway) -> tuple[Any, Any]:
    """Return uvicorn's configuration and state, without its server, whose signals and logs are not wanted here."""
    try:
        import uvicorn
        from uvicorn.server import ServerState
    except ImportError:
        raise MissingExtra("the fake gateway", "service") from None
    options: dict[str, Any] = {"lifespan": "off", "ws": "none", "log_config": None, "log_level": "critical"}
    config = uvicorn.Config(application(gateway), **options, timeout_keep_alive=_KEPT_ALIVE_S, access_log=False)
    config.load()
    return config, ServerState()


async def _accept_no_more(server: asyncio.Server) -> None:
    """Let those who were accepted just now become connections: a server that is closed leaves their sockets open."""
    for sock in server.sockets:
        asyncio.get_running_loop().remove_reader(sock.fileno())
    for _ in range(2):
        await asyncio.sleep(0)


@contextmanager
def running_gateway(
    script: Script | None = None,
    *,
    seed: int = 0,
    answer: Answerer | None = None,
    catalog: Catalog | None = None,
) -> Iterator[FakeServer]:
    """Lend a fake gateway that listens on a free port of this machine, in a thread of its own.

    Parameters
    ----------
    answer : callable, optional
        Asked for every chat completion, before the script; runs in the gateway's thread.

    Raises
    ------
    MissingExtra
        If uvicorn is not installed.
    Exception
        On leaving: whatever the answerer raised.
    """
    with listening("127.0.0.1", 0) as sock:
        server = FakeServer(script or Script(), sock, seed=seed, answer=answer, catalog=catalog)
        stop, started = asyncio.Event(), threading.Event()
        thread = threading.Thread(target=_serve, args=(server, stop, started.set), name="fake-gateway", daemon=True)
        thread.start()
        started.wait(_PATIENCE_S)
        try:
            yield server
        finally:
            server.tell(stop.set)
            thread.join(_PATIENCE_S)
        if server.errors:
            raise server.errors[0]


def serve_gateway(script: Script, *, host: str, port: int, seed: int, ready: Callable[[FakeServer], object]) -> None:
    """Serve a fake gateway in the foreground until Ctrl-C; `ready` is called when it listens.

    Raises
    ------
    InvalidRequest
        If the port is taken.
    MissingExtra
        If uvicorn is not installed.
    """
    with listening(host, port) as sock:
        server = FakeServer(script, sock, seed=seed)
        _serve(server, asyncio.Event(), lambda: ready(server))


def _serve(server: FakeServer, stop: asyncio.Event, ready: Callable[[], object]) -> None:
    async def serve() -> None:
        async with server.listening():
            ready()
            await stop.wait()

    with asyncio.Runner(loop_factory=server.loop_factory) as runner:
        runner.run(serve())
