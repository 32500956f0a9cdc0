"""Simulated time passes from one thing that happens to the next, however long each of them really takes."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.simulation.timeline import Timeline

START = datetime(2026, 11, 25, tzinfo=UTC)


def _seconds(at: datetime) -> float:
    return (at - START).total_seconds()


def test_what_is_planned_for_one_time_happens_in_the_order_of_planning() -> None:
    happened: list[str] = []

    async def day() -> None:
        async with Timeline(START) as time:
            for name, at_s in (("later", 9), ("first", 4), ("second", 4)):
                time.plan(START + timedelta(seconds=at_s), lambda name=name: happened.append(name))
            await time.pass_by(lambda _: None)

    asyncio.run(day())
    assert happened == ["first", "second", "later"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 500), min_size=1, max_size=4), min_size=1, max_size=6))
def test_work_wakes_when_its_waits_are_over_and_time_never_goes_back(waits: list[list[int]]) -> None:
    """The real naps between two waits take no simulated time."""
    woken: list[tuple[int, float]] = []
    told: list[datetime] = []

    async def work(time: Timeline, i: int) -> None:
        for seconds in waits[i]:
            await asyncio.sleep(0)
            await time.sleep(seconds)
            woken.append((i, time.timer()))

    async def day() -> None:
        async with Timeline(START) as time:
            for i in range(len(waits)):
                time.plan(START, lambda i=i: time.begin(work(time, i)))
            await time.pass_by(told.append)

    asyncio.run(day())
    for i, mine in enumerate(waits):
        assert [at for who, at in woken if who == i] == [sum(mine[: n + 1]) for n in range(len(mine))]
    assert told == sorted(told)


def test_a_time_that_is_past_is_now() -> None:
    async def day() -> float:
        async with Timeline(START) as time:
            time.plan(START, lambda: time.begin(time.until(START - timedelta(hours=1))))
            await time.pass_by(lambda _: None)
            return _seconds(time())

    assert asyncio.run(day()) == 0.0


def test_error_of_work_ends_the_passing_of_time() -> None:
    async def work(time: Timeline) -> None:
        await time.sleep(3.0)
        raise LookupError("lost")

    async def day() -> None:
        async with Timeline(START) as time:
            time.plan(START, lambda: time.begin(work(time)))
            time.plan(START + timedelta(seconds=5), lambda: pytest.fail("time went on"))
            await time.pass_by(lambda _: None)

    with pytest.raises(LookupError, match="lost"):
        asyncio.run(day())


def test_leaving_cancels_work_and_lets_others_go() -> None:
    ends: list[str] = []

    async def work(time: Timeline) -> None:
        try:
            await time.sleep(60.0)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async def stranger(time: Timeline) -> None:
        await time.sleep(60.0)
        ends.append("let go")

    async def day() -> None:
        async with Timeline(START) as time:
            other = asyncio.create_task(stranger(time))
            time.begin(work(time))
            await asyncio.sleep(0.01)
        await other

    asyncio.run(day())
    assert ends == ["cancelled", "let go"]
