"""The Router for code without an event loop: the same coroutines, run through one portal into a loop of its own."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from optimizer.engine import Optimizer
from optimizer.router.asking import Messages
from optimizer.router.reply import Chunk, Reply, ReplyStream
from optimizer.router.router import Router

T = TypeVar("T")


class SyncRouter:
    """A `Router` whose methods wait; use it from any threads, close it, or use it as a context manager.

    Parameters
    ----------
    optimizer : Optimizer
        Chooses and learns; closed by whoever opened it.
    **more
        As `Router` takes them.
    """

    def __init__(self, optimizer: Optimizer, **more: Any) -> None:  # noqa: ANN401 - as Router's
        self._router = Router(optimizer, **more)
        self._context = start_blocking_portal("asyncio", name="router")
        self._portal: BlockingPortal = self._context.__enter__()
        self._closed = False

    @classmethod
    def open(cls, config: str | Path | None = None, **more: Any) -> Self:  # noqa: ANN401 - as Optimizer.open's
        """Return a router over an optimizer of its own, opened as `Optimizer.open` says and closed with it."""
        return cls(Optimizer.open(config, **more), owned=True)

    @property
    def optimizer(self) -> Optimizer:
        """Who chooses."""
        return self._router.optimizer

    def complete(self, messages: Messages, *, use_case: str | None = None, **options: Any) -> Reply:  # noqa: ANN401
        """Return the reply to a chat; see `Router.complete`."""
        return self._wait(partial(self._router.complete, messages, use_case=use_case, **options))

    def complete_many(self, requests: Iterable[Mapping[str, Any]], **more: Any) -> list[Reply | Exception]:  # noqa: ANN401
        """Return the replies to many chats; see `Router.complete_many`."""
        return self._wait(partial(self._router.complete_many, requests, **more))

    @contextmanager
    def stream(self, messages: Messages, *, use_case: str | None = None, **options: Any) -> Iterator["SyncStream"]:  # noqa: ANN401
        """Lend the reply to a chat as it comes; see `Router.stream`.

        Examples
        --------
        >>> with router.stream(messages) as stream:  # doctest: +SKIP
        ...     for chunk in stream:
        ...         print(chunk.text, end="")
        """
        stream = self._router.stream(messages, use_case=use_case, **options)
        try:
            yield SyncStream(stream, self._wait)
        finally:
            self._wait(stream.aclose)

    def rate(self, call_id: str, value: float | bool, **more: Any) -> None:  # noqa: ANN401 - as Optimizer.rate's
        """Rate a call; see `Router.rate`."""
        self._wait(partial(self._router.rate, call_id, value, **more))

    def reload(self) -> bool:
        """Read the settings again; see `Router.reload`."""
        return self._router.reload()

    def close(self) -> None:
        """Let judges end, close connections, write what waits; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self._wait(self._router.aclose)
        finally:
            self._context.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self, make: Callable[[], Awaitable[T]]) -> T:
        """Run a coroutine in the loop and wait for it; whoever stops waiting, as by Ctrl-C, cancels it."""
        future = self._portal.start_task_soon(make)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


class SyncStream:
    """A reply as it comes; iterate over its chunks; then `reply` has the whole of it."""

    def __init__(self, stream: ReplyStream, wait: Callable[[Callable[[], Awaitable[Chunk]]], Chunk]) -> None:
        self._stream = stream
        self._wait = wait

    @property
    def reply(self) -> Reply:
        """The whole reply, once the last chunk came."""
        return self._stream.reply

    @property
    def call_id(self) -> str | None:
        """Name of the call; None before the first chunk was asked for."""
        return self._stream.call_id

    def __iter__(self) -> Iterator[Chunk]:
        with suppress(StopAsyncIteration):
            while True:
                yield self._wait(self._stream.__anext__)
