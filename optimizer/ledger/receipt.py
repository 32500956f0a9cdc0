"""What a caller gets for facts it has handed to the writer: wait for it, await it, or forget it."""

import asyncio
import contextlib
from collections.abc import Generator
from concurrent.futures import Future, InvalidStateError
from threading import Condition
from typing import Any

from optimizer.errors import OptimizerError


class Receipt:
    """Done when its facts are written, refused, or known to be late; `result()` and `await` raise in the latter cases.

    A `Future` of its own for each call would cost its caller and the garbage collector more than all the rest of
    submitting; so receipts share the writer's condition, and become futures only where one is asked for.
    """

    __slots__ = ("_condition", "_done", "_error", "_future", "facts")

    def __init__(self, facts: tuple[Any, ...], condition: Condition) -> None:
        self.facts = facts
        self._condition = condition
        self._done = False
        self._error: OptimizerError | None = None
        self._future: Future[None] | None = None

    def done(self) -> bool:
        """Return whether the outcome is known."""
        return self._done

    def result(self, timeout: float | None = None) -> None:
        """Wait for the outcome; raise why the facts were refused, or are not written yet.

        Raises
        ------
        TimeoutError
            If nothing is known after `timeout` seconds.
        """
        if not self._done:
            with self._condition:
                if not self._condition.wait_for(self.done, timeout):
                    raise TimeoutError
        if self._error is not None:
            raise self._error

    def future(self) -> Future[None]:
        """Return the outcome as a future, for callbacks and event loops; cancelling it changes nothing."""
        with self._condition:
            if self._future is None:
                self._future = Future()
            done = self._done
        if done:
            self.tell()
        return self._future

    def __await__(self) -> Generator[Any, None, None]:
        """Wait for the outcome without blocking the event loop."""
        return asyncio.wrap_future(self.future()).__await__()

    @property
    def watched(self) -> bool:
        """Whether anybody asked for the future."""
        return self._future is not None

    def settle(self, error: OptimizerError | None) -> bool:
        """Make the outcome known, once, and return whether it was not; the caller holds the condition."""
        if self._done:
            return False
        self._error = error
        self._done = True
        return True

    def tell(self) -> None:
        """Pass the outcome on to the future, if one was asked for; holding no lock, for it may call back."""
        if self._future is not None:
            with contextlib.suppress(InvalidStateError):  # cancelled, or told by another thread
                if self._error is None:
                    self._future.set_result(None)
                else:
                    self._future.set_exception(self._error)
