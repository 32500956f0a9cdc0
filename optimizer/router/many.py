"""Many calls at once, as many in flight as allowed."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import anyio

from optimizer.errors import InvalidRequest
from optimizer.router.reply import Reply

Complete = Callable[..., Awaitable[Reply]]
OnDone = Callable[[int, Reply | Exception], None]


async def complete_many(
    complete: Complete,
    requests: Iterable[Mapping[str, Any]],
    max_concurrency: int,
    return_exceptions: bool,
    on_done: OnDone | None,
) -> list[Reply | Exception]:
    """Return the outcomes in the order of the requests; `Router.complete_many` says the rest.

    Raises
    ------
    InvalidRequest
        If `max_concurrency` is below 1, or a request is no mapping with messages.
    """
    if max_concurrency < 1:
        raise InvalidRequest("max_concurrency", "must be 1 or more")
    outcomes: dict[int, Reply | Exception] = {}
    numbered = enumerate(requests)

    async def work() -> None:
        for i, request in numbered:  # shared by all workers: each takes the next one
            try:
                outcome: Reply | Exception = await complete(**_arguments(i, request))
            except Exception as error:
                if not return_exceptions:
                    raise
                outcome = error
            outcomes[i] = outcome
            if on_done is not None:
                on_done(i, outcome)

    try:
        async with anyio.create_task_group() as group:
            for _ in range(max_concurrency):
                group.start_soon(work)
    except BaseExceptionGroup as failed:
        raise _first(failed) from None
    return [outcomes[i] for i in range(len(outcomes))]


def _arguments(i: int, request: object) -> Mapping[str, Any]:
    if not isinstance(request, Mapping) or "messages" not in request:
        raise InvalidRequest(f"requests[{i}]", 'must be a mapping such as {"messages": [...], "use_case": "chat"}')
    return request


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
