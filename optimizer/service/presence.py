"""Ends work for a client that has gone away: what nobody reads need not be paid for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.types import Receive


class ClientLeft(Exception):
    """The client closed its connection before the answer was whole."""


@asynccontextmanager
async def while_present(receive: Receive) -> AsyncIterator[None]:
    """Cancel what runs in this context when the client goes away; the request's body must be read already.

    Raises
    ------
    ClientLeft
        On leaving, where that came about.
    """
    with anyio.CancelScope() as scope:
        # A task beside this one, not around it: errors pass as they are, and a stream stays in the task that began it.
        watcher = asyncio.create_task(_cancel_when_left(receive, scope))
        try:
            yield
        finally:
            watcher.cancel()
    if scope.cancelled_caught:
        raise ClientLeft


async def _cancel_when_left(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
