"""Finds calls for those who may see them, also such as another worker is about to write."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import anyio

from optimizer.errors import UnknownCall
from optimizer.ledger.calls import latest_call_of_session
from optimizer.selection import Selection
from optimizer.service.errors import ApiError
from optimizer.service.security import Caller
from optimizer.service.state import Service

T = TypeVar("T")

FRESH_S = 10.0  # a call of another worker is written within 50 ms; clocks may differ by more
PAUSE_S, N_LOOKS = 0.05, 5

_CALL_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def selection_of(service: Service, call_id: str, caller: Caller) -> Selection:
    """Return how a call was decided.

    Raises
    ------
    ApiError, UnknownCall
        404 if there is no such call, or it is another tenant's.
    """
    selection = await found(service, call_id, lambda: service.optimizer.selected(call_id))
    check_seen(selection, caller)
    return selection


async def found(service: Service, call_id: str, read: Callable[[], T]) -> T:
    """Return what `read` reads of a call, in a thread; looked for again where the call may just not be written yet."""
    if _CALL_ID.fullmatch(call_id) is None:
        raise ApiError(404, "there is no such call: a call id is a UUID", code="call_not_found", param="call_id")
    looks = N_LOOKS if is_fresh(call_id, service.optimizer.clock()) else 1
    for _ in range(looks - 1):
        try:
            return await anyio.to_thread.run_sync(read)
        except UnknownCall:
            await anyio.sleep(PAUSE_S)
    return await anyio.to_thread.run_sync(read)


async def latest_of_session(service: Service, session_id: str, caller: Caller) -> str:
    """Return the id of a session's latest call.

    Raises
    ------
    ApiError
        404 if the session has none that the caller may see.
    """

    def read() -> str | None:
        service.optimizer.flush()  # the latest may be this worker's own, and not written yet
        return latest_call_of_session(service.optimizer.database, session_id, tenant=caller.tenant)

    for _ in range(N_LOOKS):
        call_id = await anyio.to_thread.run_sync(read)
        if call_id is not None:
            return call_id
        await anyio.sleep(PAUSE_S)
    raise ApiError(404, "there is no call of this session", code="call_not_found", param="session_id")


def check_seen(selection: Selection, caller: Caller) -> None:
    """Raise `UnknownCall` where a call is another tenant's: not even that it exists is their business."""
    if not caller.may_see(selection.call_id, selection.request.tenant):
        raise UnknownCall(selection.call_id)


def is_fresh(call_id: str, now: datetime) -> bool:
    """Return whether a UUIDv7 was made in the last seconds, by the milliseconds that it begins with."""
    made_s = int(call_id[:8] + call_id[9:13], 16) / 1e3
    return abs(now.timestamp() - made_s) < FRESH_S
