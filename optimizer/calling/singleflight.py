"""Equal calls that are under way at the same time share one."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Flight(Generic[T]):
    """Work under way, and how many wait for it."""

    task: asyncio.Task[T]
    n_waiting: int = 0


class SingleFlight(Generic[T]):
    """Runs work once for all who ask for it under one key while it is under way; of one event loop.

    The work is a task of its own: it goes on while anybody waits, whoever of them began it, and is cancelled when
    nobody does; whoever leaves last waits until it has come to its end. An error reaches everybody, as the same
    object, with the traceback of the work alone each time.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def run(self, key: Hashable | None, make: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return what `make` returns, and whether another caller's was shared; without a key nothing is shared."""
        if key is None:
            return await make(), False
        flight = self._flights.get(key)
        shared = flight is not None
        if flight is None:
            flight = self._begin(key, make)
        flight.n_waiting += 1
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.n_waiting -= 1
            if not flight.n_waiting and not flight.task.done():
                await self._call_off(key, flight)
        return flight.task.result(), shared

    def _begin(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> _Flight[T]:
        async def work() -> T:
            try:
                return await make()
            finally:
                self._forget(key, flight)

        flight = _Flight(asyncio.create_task(work()))
        flight.task.add_done_callback(_hear)
        self._flights[key] = flight
        return flight

    async def _call_off(self, key: Hashable, flight: _Flight[T]) -> None:
        self._forget(key, flight)  # who comes now begins anew
        flight.task.cancel()
        await asyncio.wait((flight.task,))

    def _forget(self, key: Hashable, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


def _hear(task: asyncio.Task[T]) -> None:
    """Look at a task's error: asyncio would report it as never retrieved where everybody had left."""
    if not task.cancelled():
        task.exception()
