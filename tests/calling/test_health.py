"""Health checks: what each answer makes of a gateway's breaker, and that the task begins, goes on and ends cleanly."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime

import pytest

from optimizer.calling.breaker import WHOLE, Breakers
from optimizer.calling.health import HealthChecker
from optimizer.errors import GatewayUnreachable, Unauthorized
from optimizer.settings import HealthChecks

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
Check = Callable[[str, float], Awaitable[None]]


def checker_of(check: Check, **settings: float) -> tuple[HealthChecker, Breakers]:
    given = HealthChecks(**({"interval_seconds": 0.002, "timeout_seconds": 5.0, "failure_threshold": 3} | settings))
    breakers = Breakers(given, lambda: NOON, lambda change: None)
    return HealthChecker(
        check, ("portkey", "openrouter"), settings=given, breakers=breakers, rng=random.Random(7)
    ), breakers


def scripted(*answers: Exception | None) -> Check:
    """Return a check of the first gateway that answers in this order, and then always well; the other one is well."""
    rest: Iterator[Exception | None] = iter(answers)

    async def check(gateway: str, timeout_s: float) -> None:
        if gateway == "portkey" and (error := next(rest, None)) is not None:
            raise error

    return check


async def _ask(checker: HealthChecker, n: int) -> None:
    for _ in range(n):
        await checker.ask_once("portkey")


@pytest.mark.parametrize("error", [GatewayUnreachable(gateway="portkey"), TimeoutError(), KeyError("what?")])
def test_failures_in_a_row_open_the_gateway_and_one_answer_closes_it(error: Exception) -> None:
    checker, breakers = checker_of(scripted(error, error, error))
    asyncio.run(_ask(checker, 3))
    assert not breakers.allows("portkey", "gpt-4o")
    assert breakers.allows("openrouter", "gpt-4o")
    asyncio.run(_ask(checker, 1))
    assert breakers.allows("portkey", "gpt-4o")


def test_an_answer_in_between_begins_the_count_anew() -> None:
    error = GatewayUnreachable(gateway="portkey")
    checker, breakers = checker_of(scripted(error, error, None, error, error))
    asyncio.run(_ask(checker, 5))
    assert breakers.allows("portkey", WHOLE)


def test_a_check_that_is_refused_its_key_is_a_failure() -> None:
    checker, breakers = checker_of(scripted(Unauthorized(gateway="portkey", status=401)), failure_threshold=1)
    asyncio.run(_ask(checker, 1))
    assert [change.error_kind for change in breakers.states()] == ["auth"]


def test_a_check_that_does_not_come_back_is_cut_off() -> None:
    async def hang(gateway: str, timeout_s: float) -> None:
        await asyncio.sleep(60)

    checker, breakers = checker_of(hang, timeout_seconds=0.01, failure_threshold=1)
    asyncio.run(_ask(checker, 1))
    assert [change.error_kind for change in breakers.states()] == ["timeout"]


def test_what_went_wrong_unexpectedly_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    checker, _ = checker_of(scripted(ValueError("sk-secret")))
    asyncio.run(_ask(checker, 1))
    (record,) = caplog.records
    assert record.getMessage() == "The health check of portkey failed unexpectedly: ValueError"


def test_every_gateway_is_asked_again_and_again_until_the_end() -> None:
    asked: list[tuple[str, float]] = []
    both_twice = asyncio.Event()

    async def check(gateway: str, timeout_s: float) -> None:
        asked.append((gateway, timeout_s))
        if asked.count(("portkey", 5.0)) >= 2 and asked.count(("openrouter", 5.0)) >= 2:
            both_twice.set()
        if gateway == "portkey":
            raise ValueError

    checker, _ = checker_of(check)

    async def main() -> None:
        checker.start()
        checker.start()
        assert len(asyncio.all_tasks()) == 3
        await asyncio.wait_for(both_twice.wait(), 30)
        await checker.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await checker.stop()

    asyncio.run(main())


def test_it_ends_in_the_middle_of_a_check() -> None:
    async def main() -> None:
        under_way = asyncio.Event()

        async def hang(gateway: str, timeout_s: float) -> None:
            under_way.set()
            await asyncio.sleep(60)

        checker, breakers = checker_of(hang)
        checker.start()
        await asyncio.wait_for(under_way.wait(), 30)
        await checker.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert breakers.states() == []

    asyncio.run(main())
