"""Sharing work: hand-made cases, and laws over many interleavings of callers who come, wait and leave."""

import asyncio
import gc
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.calling.singleflight import SingleFlight
from optimizer.errors import ServerFailed


@dataclass
class Work:
    """Counts how often it began, ended and was cancelled; takes some turns of the loop, and may fail."""

    n_turns: int = 3
    error: Exception | None = None
    n_begun: int = 0
    n_done: int = 0
    n_cancelled: int = 0

    async def __call__(self) -> int:
        self.n_begun += 1
        number = self.n_begun
        try:
            for _ in range(self.n_turns):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.n_cancelled += 1
            raise
        self.n_done += 1
        if self.error is not None:
            raise self.error
        return number


async def _turns(n: int) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run to the end; whatever the loop has to complain about, and any task left, fails the test."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        result = await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    result = asyncio.run(watched())
    assert complaints == []
    return result


def test_equal_calls_under_way_share_one() -> None:
    work, flights = Work(), SingleFlight[int]()

    async def main() -> list[tuple[int, bool]]:
        return await asyncio.gather(*(flights.run("key", work) for _ in range(3)))

    assert run(main) == [(1, False), (1, True), (1, True)]
    assert (work.n_begun, len(flights)) == (1, 0)


def test_other_keys_and_no_key_share_nothing() -> None:
    work, flights = Work(), SingleFlight[int]()

    async def main() -> list[tuple[int, bool]]:
        return await asyncio.gather(*(flights.run(key, work) for key in ("a", "b", None, None)))

    assert not any(shared for _, shared in run(main))
    assert work.n_begun == 4


def test_what_comes_after_the_end_begins_anew() -> None:
    work, flights = Work(), SingleFlight[int]()

    async def main() -> list[tuple[int, bool]]:
        return [await flights.run("key", work), await flights.run("key", work)]

    assert run(main) == [(1, False), (2, False)]


def test_the_work_goes_on_when_who_began_it_leaves() -> None:
    work, flights = Work(), SingleFlight[int]()

    async def main() -> tuple[int, bool]:
        leader = asyncio.create_task(flights.run("key", work))
        follower = asyncio.create_task(flights.run("key", work))
        await _turns(2)
        leader.cancel()
        return await follower

    assert run(main) == (1, True)
    assert work.n_cancelled == 0


def test_the_work_is_cancelled_and_over_when_the_last_one_leaves() -> None:
    work, flights = Work(n_turns=1000), SingleFlight[int]()

    async def main() -> None:
        waiting = [asyncio.create_task(flights.run("key", work)) for _ in range(2)]
        await _turns(2)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert work.n_cancelled == 1

    run(main)
    assert len(flights) == 0


def test_who_comes_while_the_work_is_called_off_begins_anew() -> None:
    work, flights = Work(n_turns=5), SingleFlight[int]()

    async def main() -> tuple[int, bool]:
        first = asyncio.create_task(flights.run("key", work))
        await _turns(2)
        first.cancel()
        await _turns(1)
        return await flights.run("key", work)

    assert run(main) == (2, False)


def test_an_error_reaches_everybody_with_the_traceback_of_the_work_alone() -> None:
    error = ServerFailed(gateway="portkey", model_id="gpt-4o")
    work, flights = Work(error=error), SingleFlight[int]()

    async def main() -> list[Any]:
        return await asyncio.gather(*(flights.run("key", work) for _ in range(50)), return_exceptions=True)

    assert all(found is error for found in run(main))
    assert len(traceback.extract_tb(error.__traceback__)) < 10
    assert len(flights) == 0


def test_an_error_that_nobody_waits_for_is_not_complained_about() -> None:
    @dataclass
    class Stubborn:
        async def __call__(self) -> int:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise ValueError("closing failed") from None
            return 0

    async def main() -> None:
        task = asyncio.create_task(SingleFlight[int]().run("key", Stubborn()))
        await _turns(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()  # asyncio complains when it forgets the task

    run(main)


def test_a_callers_own_deadline_ends_its_wait_only() -> None:
    work, flights = Work(n_turns=200), SingleFlight[int]()

    async def hurried() -> str:
        try:
            async with asyncio.timeout(0):
                await flights.run("key", work)
        except TimeoutError:
            return "late"
        return "in time"

    async def main() -> list[Any]:
        return await asyncio.gather(hurried(), flights.run("key", work))

    assert run(main) == ["late", (1, True)]


@dataclass(frozen=True)
class Caller:
    """Comes after some turns under a key, and leaves after some more, unless answered until then."""

    key: str
    comes: int
    patience: int | None


@dataclass
class Course:
    """What came of one interleaving."""

    callers: list[Caller]
    works: dict[str, Work]
    found: list[Any] = field(default_factory=list)


callers = st.lists(
    st.builds(Caller, st.sampled_from("ab"), st.integers(0, 8), st.none() | st.integers(0, 8)), min_size=1, max_size=8
)


@settings(max_examples=400, deadline=None)
@given(callers, st.integers(0, 6), st.booleans())
def test_laws_of_sharing(who: list[Caller], n_turns: int, fails: bool) -> None:
    """Who stays is answered, who leaves is cancelled; work ends once, and leaves nothing."""
    error = ServerFailed(gateway="portkey") if fails else None
    course = Course(who, {key: Work(n_turns, error) for key in "ab"})
    flights = SingleFlight[int]()
    run(lambda: _play(course, flights))
    assert len(flights) == 0
    for caller, found in zip(course.callers, course.found, strict=True):
        if caller.patience is None:
            assert found is error if fails else isinstance(found, tuple)
        else:
            assert (
                found is error if isinstance(found, ServerFailed) else isinstance(found, tuple | asyncio.CancelledError)
            )
    for key, work in course.works.items():
        mine = [found for caller, found in zip(course.callers, course.found, strict=True) if caller.key == key]
        answers = [found for found in mine if isinstance(found, tuple)]
        assert work.n_begun == work.n_done + work.n_cancelled
        assert work.n_done >= len({number for number, _ in answers})
        assert len([1 for _, shared in answers if not shared]) <= work.n_done
        if not any(isinstance(found, asyncio.CancelledError) for found in mine):
            assert work.n_cancelled == 0


async def _play(course: Course, flights: SingleFlight[int]) -> None:
    async def come(caller: Caller) -> Any:
        await _turns(caller.comes)
        task = asyncio.create_task(flights.run(caller.key, course.works[caller.key]))
        if caller.patience is not None:
            await _turns(caller.patience)
            task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        return result

    course.found = await asyncio.gather(*(come(caller) for caller in course.callers))
