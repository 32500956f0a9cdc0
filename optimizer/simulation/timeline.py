"""Simulated time in an event loop: things happen in the order of one clock, and whoever waits for a time is woken then.

Time stands still while anybody is awake, so what takes real time, such as a call over HTTP, takes no simulated time
but what is waited for here. As one thing happens at a time, the same day goes the same way however fast the machine is.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Self


class Timeline:
    """The simulated time, and what is still to come; of one event loop, where it is an asynchronous context manager.

    Leaving the context cancels the work under way, and lets everybody go who still waits.

    Attributes
    ----------
    at : datetime
        The time that it is; calling the timeline returns it, too, as an optimizer's clock.
    """

    def __init__(self, start: datetime) -> None:
        self.at = start
        self._start = start
        self._to_come: list[tuple[datetime, int, Callable[[], object]]] = []
        self._number: Iterator[int] = count()
        self._waiting: set[asyncio.Future[None]] = set()
        self._working: set[asyncio.Task[None]] = set()
        self._n_awake = 0
        self._quiet = asyncio.Event()
        self._error: Exception | None = None

    def __call__(self) -> datetime:
        """Return the time that it is."""
        return self.at

    def timer(self) -> float:
        """Return simulated seconds since the start."""
        return (self.at - self._start).total_seconds()

    def plan(self, at: datetime, action: Callable[[], object]) -> None:
        """Have something done at a time; what is planned for the same time is done in the order of planning."""
        heapq.heappush(self._to_come, (at, next(self._number), action))

    def begin(self, work: Coroutine[object, object, None]) -> None:
        """Start work whose every wait is an `until` or `sleep`, its own or that of whoever it asks.

        Its error is raised by `pass_by`.
        """
        self._n_awake += 1
        task = asyncio.create_task(self._followed(work))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def until(self, at: datetime) -> None:
        """Wait, as a part of work that was begun here, until it is `at`; one that is past is now."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        self.plan(max(at, self.at), lambda: self._wake(woken))
        self._rests()
        await woken

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds; see `until`."""
        await self.until(self.at + timedelta(seconds=seconds))

    async def pass_by(self, told: Callable[[datetime], object]) -> None:
        """Let everything happen that is planned, and whatever is planned meanwhile; say the time after each thing."""
        while self._to_come:
            self.at, _, action = heapq.heappop(self._to_come)
            action()
            while self._n_awake:
                self._quiet.clear()
                await self._quiet.wait()
            if self._error is not None:
                raise self._error
            told(self.at)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        working = tuple(self._working)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        for woken in tuple(self._waiting):
            self._wake(woken)

    def _wake(self, woken: asyncio.Future[None]) -> None:
        self._waiting.discard(woken)
        if not woken.done():
            self._n_awake += 1
            woken.set_result(None)

    def _rests(self) -> None:
        self._n_awake -= 1
        if self._n_awake == 0:
            self._quiet.set()

    async def _followed(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - raised where time goes by
            self._error = self._error or error
        finally:
            self._rests()
